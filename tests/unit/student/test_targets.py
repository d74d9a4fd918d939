"""The student's targets: the teacher's logits belong to exactly the views it sees, online or cached."""

from contextlib import nullcontext
from itertools import product

import pytest
import torch

from nayer.core.images import Augmentation, to_float
from nayer.student.targets import CachedTargets, OnlineTargets
from nayer.synthesis.memory import MemoryBank

AUGMENT = Augmentation(padding=1, flip=True)


def images(count: int) -> torch.Tensor:
    return torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def bank(capacity: int = 20) -> MemoryBank:
    return MemoryBank(capacity, (1, 8, 8), torch.device("cpu"))


def cached(teacher, count: int, capacity: int = 20, refreshed: float = 0.0) -> CachedTargets:
    return CachedTargets(teacher, bank(capacity), AUGMENT, nullcontext, count, refreshed)


def assert_cached_logits_are_the_teachers(targets: CachedTargets, teacher) -> None:
    for slot, view in product(range(len(targets.memory)), range(targets.count)):
        shown = AUGMENT.crop(to_float(targets.memory.images[slot : slot + 1]), targets.crops[slot, view][None])
        with torch.no_grad():
            torch.testing.assert_close(targets.answers[slot, view].float(), teacher(shown)[0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kind", ["online", "cached", "refreshed"])
def test_logits_are_the_teachers_on_the_very_views(kind, teacher):
    online = OnlineTargets(teacher, bank(), AUGMENT, nullcontext)
    targets = online if kind == "online" else cached(teacher, 3, refreshed=0.3 * (kind == "refreshed"))
    targets.add(images(12), torch.zeros(12, dtype=torch.long))
    targets.deal(10)
    shown, logits = targets.views()
    with torch.no_grad():
        torch.testing.assert_close(logits.float(), teacher(shown), rtol=2e-3, atol=2e-3)


def test_an_image_has_no_more_views_than_were_drawn_when_it_came_in(teacher):
    targets = cached(teacher, 2)
    targets.add(images(1), torch.zeros(1, dtype=torch.long))
    seen = set()
    for _ in range(60):
        targets.deal(1)
        seen.add(targets.views()[0].numpy().tobytes())
    assert len(seen) == 2


def test_cached_targets_that_are_not_refreshed_never_ask_the_teacher(teacher):
    targets = cached(teacher, 2)
    targets.add(images(12), torch.zeros(12, dtype=torch.long))

    def refuse(*_: object) -> None:
        raise AssertionError("asked")

    teacher.register_forward_pre_hook(refuse)
    targets.deal(10)
    targets.views()


def test_a_share_of_each_batch_is_drawn_anew_and_cached(teacher):
    targets = cached(teacher, 1, refreshed=0.25)
    targets.add(images(12), torch.zeros(12, dtype=torch.long))
    asked = []
    teacher.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
    before = targets.answers.clone()
    targets.deal(12)
    targets.views()
    assert asked == [3]
    changed = (targets.answers != before).flatten(1).any(1)
    assert 1 <= changed.sum() <= 3, "a new view may be the old one again"
    for slot in range(12):
        shown = AUGMENT.crop(to_float(targets.memory.images[slot : slot + 1]), targets.crops[slot])
        with torch.no_grad():
            torch.testing.assert_close(targets.answers[slot].float(), teacher(shown), rtol=2e-3, atol=2e-3)


def test_a_small_batch_renews_a_view_all_the_same(teacher):
    targets = cached(teacher, 2, refreshed=0.05)
    targets.add(images(8), torch.zeros(8, dtype=torch.long))
    asked = []
    teacher.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
    targets.deal(8)
    targets.views()
    assert asked == [1]


@pytest.mark.parametrize("count", [AUGMENT.crop_count, 100])
def test_where_all_views_there_are_can_be_kept_each_is_kept_once_and_none_refreshed(count, teacher):
    targets = cached(teacher, count, refreshed=0.5)
    targets.add(images(12), torch.zeros(12, dtype=torch.long))
    every = {tuple(crop) for crop in AUGMENT.every(torch.device("cpu")).tolist()}
    assert len(every) == AUGMENT.crop_count
    before = targets.answers.clone()
    targets.deal(10)
    targets.views()
    assert torch.equal(targets.answers, before)
    for slot in range(12):
        crops = [tuple(crop) for crop in targets.crops[slot].tolist()]
        assert len(crops) == len(every)
        assert set(crops) == every


def test_an_image_that_makes_room_takes_its_views_along(teacher):
    targets = cached(teacher, 2, capacity=4)
    for part in images(10).split(3):
        targets.add(part, torch.zeros(len(part), dtype=torch.long))
    assert_cached_logits_are_the_teachers(targets, teacher)


def test_state_round_trip_shows_the_same(teacher):
    targets, copy = cached(teacher, 3), cached(teacher, 3)
    targets.add(images(12), torch.zeros(12, dtype=torch.long))
    copy.memory.load_state_dict(targets.memory.state_dict())
    copy.load_state_dict(targets.state_dict())
    drawn = []
    for each in (targets, copy):
        torch.manual_seed(0)
        each.deal(6)
        drawn.append(each.views())
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])


def test_what_is_dealt_lies_where_a_recorded_step_reads_it_until_there_is_more_or_less(teacher):
    targets = cached(teacher, 2)
    targets.add(images(12), torch.zeros(12, dtype=torch.long))
    targets.deal(4)
    slots, first = targets.slots, targets.slots.tolist()
    targets.deal(4)
    assert targets.slots is slots
    assert slots.tolist() != first
    targets.deal(5)
    assert targets.slots is not slots


def test_views_that_the_teacher_is_shown_at_once_get_the_logits_of_each(teacher, monkeypatch):
    monkeypatch.setattr(CachedTargets, "at_once", lambda *_: 2)
    targets = cached(teacher, 3)
    targets.add(images(5), torch.zeros(5, dtype=torch.long))
    assert_cached_logits_are_the_teachers(targets, teacher)
