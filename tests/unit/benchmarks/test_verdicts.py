"""Verdicts from a table: none on noise, none on one seed; time to equal accuracy is told separately."""

import math

import pandas as pd
import pytest
from harness.verdicts import adjusted, by_seed, compare, effect_of_seeds, time_to_equal


def series(*values: float) -> pd.Series:
    return pd.Series(values, index=range(len(values)), dtype=float)


@pytest.mark.parametrize(
    ("better", "worse", "word"),
    [
        (series(90, 91, 90.5), series(88, 89.1, 88.4), "for the paper"),
        (series(88, 89.1, 88.4), series(90, 91, 90.5), "against the paper"),
        (series(90, 91, 90.5), series(89.8, 90.8, 90.3), "undecided"),
        (series(90, 95, 80), series(85, 80, 84), "undecided"),
        (series(90), series(80), "one seed"),
        (series(), series(80), "not run"),
    ],
)
def test_a_verdict_needs_more_than_noise_and_more_than_one_seed(better, worse, word):
    assert compare(better, worse).word() == word


@pytest.mark.parametrize(
    ("one", "expected", "word"),
    [
        (series(90, 91, 90.5), "below", "against the paper"),
        (series(86, 87, 86.5), "below", "for the paper"),
        (series(88.1, 89.0, 88.5), "below", "undecided"),
        (series(90, 91, 90.5), "about as good", "against the paper"),
        (series(88.1, 89.0, 88.5), "about as good", "for the paper"),
        (series(88, 92, 86), "about as good", "undecided"),
        (series(90, 91, 90.5), "at least as good", "for the paper"),
        (series(88.1, 89.0, 88.5), "at least as good", "for the paper"),
        (series(86, 87, 86.5), "at least as good", "against the paper"),
        (series(88, 92, 86), "at least as good", "undecided"),
        (series(90), "about as good", "one seed"),
        (series(), "at least as good", "not run"),
    ],
)
def test_what_the_paper_expects_decides_what_a_difference_is_for(one, expected, word):
    assert compare(one, series(88, 89.1, 88.4)).word(expected) == word


def test_seeds_are_paired_and_those_that_only_one_has_are_left_out():
    found = compare(series(90, 92, 94), series(89, 90))
    assert (found.mean, found.n) == (1.5, 2)
    assert found.deviation == pytest.approx(math.sqrt(0.5))
    assert found.interval == pytest.approx(12.706 * math.sqrt(0.5) / math.sqrt(2), rel=1e-3), "Student's t, one degree"
    assert str(found) == "+1.50 (0.71)"
    assert found.range == "[-4.9, 7.9]"
    assert compare(series(90), series(80)).range == ""


def test_beside_the_paired_interval_stands_the_one_of_independent_runs():
    """By hand: both variances are 1, so that t has 4 degrees of freedom and the error is the root of 2 / 3."""
    found = compare(series(92, 93, 94), series(90.9, 88.9, 89.9))
    half = 2.776 * math.sqrt(2 / 3)
    assert found.unpaired == pytest.approx((found.mean - half, found.mean + half), rel=1e-3)
    assert found.range_unpaired == "[0.8, 5.4]"
    assert (found.word(), found.word_unpaired()) == ("undecided", "for the paper"), "these pairs happen to disagree"
    assert compare(series(90), series(80)).range_unpaired == ""


def test_an_effect_of_seeds_is_what_all_settings_share():
    shared = pd.DataFrame([[80.0, 81, 82], [90, 91.1, 92], [70, 71, 72.1]])
    f, p = effect_of_seeds(shared)
    assert f > 100
    assert p < 0.001
    f, p = effect_of_seeds(pd.DataFrame([[80.0, 81, 82], [92, 91, 90], [71, 70, 71.5]]))
    # By hand: the seeds' means are 81, 80.667 and 81.167, so that the variance between them is 3 x 0.0648; what is left
    # has 4.778 in four degrees of freedom.
    assert f == pytest.approx(3 * 0.0648 / (4.778 / 4), rel=1e-2)
    assert p > 0.8


def test_what_chance_would_give_is_counted_for_all_that_are_told_at_once():
    first, second = (
        compare(series(90, 91, 90.5), series(88, 89.1, 88.4)),
        compare(series(90, 95, 80), series(85, 80, 84)),
    )
    assert first.p == pytest.approx(0.0010, abs=2e-4)
    assert compare(series(90, 91), series(88, 89)).p == 0.0, "no deviation at all"
    alone, one_seed, other = adjusted([first, compare(series(90), series(80)), second])
    assert math.isnan(one_seed)
    assert alone == pytest.approx(2 * first.p), "the smaller of two counts twice"
    assert other == pytest.approx(second.p)


@pytest.fixture
def rows() -> pd.DataFrame:
    """Rows of two methods and two seeds; an epoch takes the fast method 10 s and the slow one 20 s."""
    found = []
    for seed, ends in ((0, 0.9), (1, 0.4)):
        for setting, seconds, accuracies in (("fast", 5, (0.5, 0.7, ends)), ("slow", 10, (0.2, 0.4, 0.6))):
            for epoch, accuracy in enumerate(accuracies, 1):
                found.append(
                    {
                        "run": f"{setting}-{seed}",
                        "group": "tier",
                        "setting": setting,
                        "minutes": 1.0,
                        "seed": seed,
                        "epoch": epoch,
                        "validation_accuracy_2000": accuracy,
                        "counted_seconds": 2.0 * seconds * epoch,
                        "accuracy": accuracy if epoch == 3 else None,
                    }
                )
    return pd.DataFrame(found)


def test_time_to_what_the_slow_one_ends_with(rows):
    assert time_to_equal(rows, "tier", "fast", "slow", 1.0).to_numpy().tolist() == [[60, 20], [60, 20]]
    never = time_to_equal(rows, "tier", "slow", "fast", 1.0)
    assert math.isnan(never["fast"][0])
    assert never.loc[1].tolist() == [10, 40], "seed 1 of the fast one shows 0.4 at its end, and had more at once"
    assert time_to_equal(rows, "tier", "fast", "gone", 1.0).empty


def test_accuracy_by_seed_is_that_of_the_last_epoch(rows):
    ends = rows[rows["accuracy"].notna()]
    assert by_seed(ends, "tier", "fast").to_dict() == {0: 90.0, 1: 40.0}
    assert by_seed(ends, "tier", "fast", minutes=2.0).empty
