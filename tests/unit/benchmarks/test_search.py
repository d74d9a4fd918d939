"""A search begins with the base setting, tries values of a sampler at equal time, and loses no trial."""

from pathlib import Path

import harness.bench
import minutes
import pandas as pd
import pytest
from harness.bench import Bench
from harness.search import Search
from harness.settings import Range, Study
from pydantic import ValidationError

from nayer.core.errors import Diverged, InputError, Interrupted, Stopped

LEVERS = Path(__file__).parents[3] / "benchmarks" / "studies" / "levers.yml"
NAME = "joint_fashion_mnist"
RATE = "distill.student.learning_rate"
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat", "ignore:Argument")


class Performed(Bench):
    """A bench that only notes what it should run; a student is the better the nearer its learning rate is to 0.1."""

    def __init__(self, folder: Path, study: Study | None = None) -> None:
        super().__init__(study or Study.read(LEVERS), None, "cpu", folder)
        self.results, self.ran, self.error, self.names = folder, [], None, set()

    def measured(self, runs):
        return {}

    def perform(self, run, costs):
        if self.error:
            raise self.error
        values = self.study.distillation(run.pair, run.setting)
        self.names.add(tuple(self.study.cost_names(run.pair, run.setting).values()))
        self.ran.append((run, values, self.study.settings[run.setting]))
        rest = dict.fromkeys(("images", "student_steps", "synthesis_seconds", "student_seconds"), 1)
        off = abs(values["student"]["learning_rate"] - 0.1)
        return {"accuracy": 0.9 - off, "commit": "c", "machine": {"processor": "P", "accelerator": None}, **rest}


@pytest.fixture(autouse=True)
def untracked(monkeypatch):
    monkeypatch.setattr(harness.bench, "tracker", lambda *_: None)


def with_trials(count: int, **changes) -> Study:
    study = Study.read(LEVERS)
    search = study.searches[NAME].model_copy(update={"trials": count, **changes})
    return study.model_copy(update={"searches": {NAME: search}})


def test_the_setting_that_is_changed_is_tried_first_and_what_follows_lies_in_the_space(tmp_path):
    bench = Performed(tmp_path, with_trials(6))
    Search(bench, NAME).work()
    study = Study.read(LEVERS)
    (first, values, setting), *others = bench.ran
    assert values == study.distillation("fashion_mnist", "reconstructed")
    assert (setting.student_share, setting.warmup_share) == (0.5, 0.08)
    assert (first.minutes, first.seed, first.test) == (5, 100, False)
    assert len(others) == 5
    for run, values, setting in others:
        assert 0.02 <= values["student"]["learning_rate"] <= 0.3
        assert 10 <= values["synthesis"]["steps"] <= 60
        assert 0.3 <= setting.student_share <= 0.7
        assert values["student"]["start"] == "reconstructed", "what is not searched stays"
        assert run.test is False
    assert len({values["student"]["learning_rate"] for _, values, _ in others}) == 5
    found = pd.read_csv(tmp_path / f"search_{NAME}.csv")
    assert found["trial"].tolist() == list(range(6))
    assert found["accuracy"].tolist() == pytest.approx((0.9 - (found[RATE] - 0.1).abs()).tolist(), abs=1e-5)
    assert set(found["machine"]) == {"processor P"}


def test_a_trial_that_is_stopped_is_run_again_and_none_twice(tmp_path):
    bench = Performed(tmp_path, with_trials(3))
    bench.error = Interrupted("stopped", 15)
    with pytest.raises(Interrupted):
        Search(bench, NAME).work()
    again = Performed(tmp_path, with_trials(3))
    search = Search(again, NAME)
    search.work()
    assert len(again.ran) == 3
    assert again.ran[0][1] == Study.read(LEVERS).distillation("fashion_mnist", "reconstructed")
    assert search.left() == 0
    assert search.summary().splitlines()[0].split()[:2] == ["trial", "accuracy"]
    more = Performed(tmp_path, with_trials(4))
    Search(more, NAME).work()
    assert len(more.ran) == 1, "a larger budget goes on"


@pytest.mark.parametrize("kind", [InputError, Diverged])
def test_values_that_nothing_comes_of_count_as_tried_and_are_told(tmp_path, capfd, kind):
    bench = Performed(tmp_path, with_trials(2))
    bench.error = kind("distill.synthesis.steps: too little time")
    search = Search(bench, NAME)
    search.work()
    assert search.left() == 0
    assert pd.read_csv(search.file)["said"].tolist() == ["distill.synthesis.steps: too little time"] * 2
    assert "too little time" in capfd.readouterr().err


def test_a_run_that_fails_for_another_reason_ends_the_search_and_stays_to_be_tried(tmp_path):
    bench = Performed(tmp_path, with_trials(2))
    bench.error = Stopped("killed for memory")
    with pytest.raises(Stopped, match="killed for memory"):
        Search(bench, NAME).work()
    again = Performed(tmp_path, with_trials(2))
    Search(again, NAME).work()
    assert again.ran[0][1] == Study.read(LEVERS).distillation("fashion_mnist", "reconstructed")
    assert len(again.ran) == 2


@pytest.mark.parametrize(("code", "kind"), [(75, Interrupted), (65, Diverged), (-9, Stopped), (1, Stopped)])
def test_a_run_that_did_not_end_well_is_told_by_how_it_ended(tmp_path, monkeypatch, code, kind):
    class Ended:
        def __init__(self, *_, **__):
            pass

        def wait(self):
            return code

    monkeypatch.setattr(harness.bench.subprocess, "Popen", Ended)
    with pytest.raises(kind) as found:
        Performed(tmp_path).run(tmp_path / "job.json")
    assert type(found.value) is kind


def test_the_page_shows_the_first_trial_and_the_best_whatever_their_levers_are(tmp_path, monkeypatch):
    page = minutes.Page()
    space = {RATE: Range(low=0.02, high=0.3), "distill.student.start": ["teacher", "random"]}
    search = page.study.searches[NAME].model_copy(update={"space": space})
    monkeypatch.setattr(page, "study", page.study.model_copy(update={"searches": {NAME: search}}))
    monkeypatch.setattr(page, "results", tmp_path)
    trials = {"trial": [0, 1, 2, 3], "accuracy": [0.8, 0.7, None, 0.9], RATE: 0.05, "distill.student.start": "teacher"}
    pd.DataFrame(trials).to_csv(tmp_path / f"search_{NAME}.csv", index=False)
    (found,) = page.searches()
    rest = ["0.05", "teacher"]
    assert found["rows"] == [[0, "80.00", *rest], [3, "90.00", *rest], [1, "70.00", *rest]]
    assert found["done"] == 3


def test_steps_of_the_same_work_have_one_name_in_every_trial(tmp_path):
    bench = Performed(tmp_path, with_trials(4))
    Search(bench, NAME).work()
    names = ("synthesis, fashion_mnist published", "student, fashion_mnist batch_64", "start, fashion_mnist")
    assert bench.names == {names}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"space": {"distill.student.batch_size": [16, 32]}}, "batch_size: 64, as reconstructed has it, is not in it"),
        (
            {"space": {"distill.student.lerning_rate": [0.1]}},
            "lerning_rate: None, as reconstructed has it, is not in it",
        ),
    ],
)
def test_a_space_that_the_base_is_not_in_is_refused_before_work(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        Search(Performed(tmp_path, with_trials(2, **changes)), NAME)


def test_trials_of_another_space_are_not_taken_for_those_of_this_one(tmp_path):
    Search(Performed(tmp_path, with_trials(2)), NAME)
    with pytest.raises(InputError, match=f"searches.{NAME}: its trials so far were of another space or base"):
        Search(Performed(tmp_path, with_trials(2, minutes=6.0)), NAME)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("base: reconstructed", "base: gone", "there is no 'gone'"),
        ("{low: 0.02, high: 0.3, log: true}", "{low: 0.0, high: 0.3, log: true}", "low lies below high"),
        ("{low: 0.0, high: 0.4}", "{low: 0.5, high: 0.4}", "low lies below high"),
    ],
)
def test_a_search_that_cannot_be_is_refused_as_the_study_is_read(tmp_path, old, new, sentence):
    text = LEVERS.read_text()
    assert old in text
    (tmp_path / "study.yml").write_text(text.replace(old, new, 1))
    with pytest.raises(ValidationError, match=sentence):
        Study.read(tmp_path / "study.yml")
