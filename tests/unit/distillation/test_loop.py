"""The distillation loop: golden losses, resume to the bit, isolation from data."""

import copy
import json
import os
import re
import signal
from copy import deepcopy
from pathlib import Path

import psutil
import pytest
import torch
from fake_method import FakeConfig, FakeMethod, registered
from golden import GOLDEN, SETTINGS, golden_losses
from torch import nn

from nayer.core.errors import InputError, Interrupted
from nayer.core.images import ImageSpec, to_float, to_uint8
from nayer.core.tensors import tensors_digest
from nayer.distillation import plan as planning
from nayer.distillation.build import build
from nayer.distillation.estimate import estimate
from nayer.distillation.loop import collect, distill, fit
from nayer.distillation.plan import plan
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.matching import MatchedLeaves


class StopAfter(NullReporter):
    """Sends this process a signal after some units of work."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, done: float, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def run(teacher, embeddings, config, runtime, reporter=None, seed=5, safe=True):
    reporter = reporter or NullReporter()
    made = plan(teacher, embeddings, config, runtime, seed)
    resume = ResumePoint(runtime, "distill", made.fingerprint, reporter)
    result = distill(made, resume, reporter)
    if safe:
        resume.discard()
    return result


def test_losses_of_twenty_steps_follow_the_golden_trajectory(make_plan, request):
    found = golden_losses(make_plan(**SETTINGS))
    if request.config.getoption("--renew-golden"):
        GOLDEN.write_text("[\n " + ",\n ".join(map(json.dumps, found)) + "\n]\n")
    assert found == [pytest.approx(row, rel=1e-4) for row in json.loads(GOLDEN.read_text())]


def test_same_seed_gives_the_same_file_and_another_seed_another(teacher, embeddings, distill_config, runtime, tmp_path):
    files = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        path = tmp_path / f"{name}.safetensors"
        run(teacher, embeddings, distill_config(), runtime, seed=seed).student.save(path)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


class StopTwice(StopAfter):
    """Sends a second signal while the first is being obeyed."""

    def say(self, text: str) -> None:
        super().say(text)
        if "keeping the state" in text:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_stops_at_once_and_is_told_from_a_failure(teacher, embeddings, distill_config, runtime):
    with pytest.raises(Interrupted, match="stopped at once by a second signal") as caught:
        run(teacher, embeddings, distill_config(), runtime, StopTwice(4))
    assert caught.value.signal_number == signal.SIGINT


@pytest.mark.parametrize(
    ("cached_targets", "memory_gib", "feature_weight"),
    [(None, 1.0, 0.0), (2, 1.0, 0.0), (2, 1e-9, 0.0), (None, 1.0, 2.0), (2, 1.0, 2.0)],
)
@pytest.mark.parametrize("calls", [1, 2, 4, 7, 9])
@pytest.mark.parametrize("closing_epochs", [0, 1])
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(
    calls, closing_epochs, cached_targets, memory_gib, feature_weight, teacher, embeddings, distill_config, runtime
):
    student = {"student__cached_targets": cached_targets, "student__feature_weight": feature_weight}
    config = distill_config(**student, closing_epochs=closing_epochs)
    whole = run(teacher, embeddings, config, runtime)
    runtime = runtime.model_copy(update={"memory_gib": memory_gib})  # with the smaller one, the images lie on disk
    with pytest.raises(Interrupted, match="same command goes on"):
        run(teacher, embeddings, config, runtime, StopAfter(calls))
    state = Path(runtime.resume_folder) / "distill" / "state.pt"
    assert state.is_file()
    reporter = StopAfter(-1)
    resumed = run(teacher, embeddings, config, runtime, reporter)
    assert any("going on" in said for said in reporter.said)
    assert reporter.said[-1].startswith("The distillation took ")
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())
    assert torch.equal(resumed.sample.images, whole.sample.images)
    assert torch.equal(resumed.probes.images, whole.probes.images)
    assert not state.exists(), "a stage whose results are safe leaves no state"


def test_leaves_lie_in_the_memory_beside_each_batch_with_the_classes_that_the_teacher_sees(make_plan, runtime):
    made = make_plan(leaves=7, augmentation__padding=0, augmentation__flip=False, probe_images=5)
    state, reporter = build(made), NullReporter()
    fit(state, made, ResumePoint(runtime, "distill", made.fingerprint, reporter), reporter)
    batches = made.schedule.images // made.schedule.batch_size
    assert state.memory.added == len(state.memory) == made.capacity == batches * (made.schedule.batch_size + 7)
    found = collect(state, made)
    assert (found.images_made, found.leaves) == (made.schedule.images, 7 * batches), "told apart"
    place = torch.arange(made.capacity) % (made.schedule.batch_size + 7)
    leaves, labels = (each[place >= made.schedule.batch_size] for each in (state.memory.images, state.memory.labels))
    seen = state.method.context.teacher(to_float(leaves)).argmax(1)
    assert (seen == labels).float().mean() > 0.9, "but for the rounding to uint8"
    assert len(leaves.flatten(1).unique(dim=0)) == 7 * batches
    shown = {image.numpy().tobytes() for image in found.sample.images}
    assert shown, "synthetic images alone are handed on"
    assert not shown & {leaf.numpy().tobytes() for leaf in leaves}


@pytest.mark.parametrize("steps", [0, 3])
def test_leaves_take_their_steps_towards_what_the_teacher_knows(steps, make_plan):
    state = build(make_plan(leaves=9, leaves_steps=steps))
    state.begin_epoch()
    made = state.method.step(state.trainer.student)
    torch.manual_seed(8)
    state.add_batch(made)
    torch.manual_seed(8)
    images, _, _ = MatchedLeaves(state.method.context.teacher).draw(9, steps)
    assert torch.equal(state.memory.images[len(made.images) : len(made.images) + 9], to_uint8(images))


def test_a_method_without_steps_goes_through_a_warm_up(teacher, distill_config, runtime):
    config = distill_config(synthesis__method="dead_leaves", synthesis__steps=0)
    assert config.warmup_epochs
    assert len(run(teacher, None, config, runtime).history) == config.warmup_epochs + config.epochs


def test_a_run_with_leaves_that_was_stopped_goes_on_to_the_same_bits(teacher, embeddings, distill_config, runtime):
    config = distill_config(leaves=5)
    whole = run(teacher, embeddings, config, runtime)
    with pytest.raises(Interrupted):
        run(teacher, embeddings, config, runtime, StopAfter(4))
    resumed = run(teacher, embeddings, config, runtime)
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())


def test_a_run_that_goes_on_holds_nothing_of_the_state_file(teacher, embeddings, distill_config, runtime):
    config = distill_config(student__cached_targets=2)
    states = [build(plan(teacher, embeddings, config, runtime, seed=5)) for _ in range(2)]
    resume = ResumePoint(runtime, "distill", {}, NullReporter())
    states[0].begin_epoch()
    states[0].add_batch(states[0].method.step(states[0].trainer.student))
    states[0].learn(config.student)
    resume.keep(states[0].state_dict, finished=True)
    assert resume.restore(states[1])
    mapped = [each.path for each in psutil.Process().memory_maps() if each.path.startswith(runtime.resume_folder)]
    assert mapped == [], "it would stay on disk after its name is gone"


DAFL = {"method": "dafl", "batch_size": 6, "batches": 2, "warmup_batches": 2}


@pytest.mark.parametrize("changes", [{}, {"synthesis": DAFL, "student__steps": 4}], ids=["memory", "alternating"])
def test_a_finished_stage_whose_results_were_lost_is_not_done_again(
    teacher, embeddings, distill_config, runtime, changes
):
    config = distill_config(**changes)
    first = run(teacher, embeddings, config, runtime, safe=False)
    reporter = StopAfter(-1)
    again = run(teacher, embeddings, config, runtime, reporter)
    assert any("finished before" in said for said in reporter.said)
    assert tensors_digest(again.student.state_dict()) == tensors_digest(first.student.state_dict())
    assert again.history == first.history
    assert torch.equal(again.probes.images, first.probes.images)


def test_closing_epochs_make_no_images_and_renew_no_generator(make_plan, runtime, monkeypatch):
    made = make_plan(epochs=5, closing_epochs=3, synthesis__generator_life=1, student__steps=2)
    state, reporter = build(made), NullReporter()
    began: list[int] = []
    start = state.method.start_epoch
    monkeypatch.setattr(state.method, "start_epoch", lambda epoch: (began.append(epoch), start(epoch)))
    fit(state, made, ResumePoint(runtime, "distill", made.fingerprint, reporter), reporter)
    warmup = made.schedule.warmup_epochs
    assert began == list(range(warmup + 2))
    assert state.memory.added == made.schedule.images
    assert [row["phase"] for row in state.history] == warmup * ["warm-up"] + 2 * ["distillation"] + 3 * ["closing"]
    closing = state.history[-1]
    assert closing["synthesis_loss"] is None
    assert closing["kd_loss"] > 0
    assert closing["memory_images"] == made.schedule.images
    assert state.trainer.schedule.last_epoch == 5 * 2, "one cosine over all of the student's steps"


def test_probes_are_made_and_never_learnt_from(teacher, embeddings, distill_config, runtime):
    few, many = (run(teacher, embeddings, distill_config(probe_images=count), runtime) for count in (3, 60))
    assert (len(few.probes.labels), len(many.probes.labels)) == (3, 60)
    assert few.images_made == many.images_made, "they never enter the memory"
    assert tensors_digest(few.student.state_dict()) == tensors_digest(many.student.state_dict())


def test_another_configuration_starts_afresh_and_says_what_changed(teacher, embeddings, distill_config, runtime):
    with pytest.raises(Interrupted):
        run(teacher, embeddings, distill_config(), runtime, StopAfter(3))
    changed = distill_config(synthesis__ce_weight=0.25)
    reporter = StopAfter(-1)
    found = run(teacher, embeddings, changed, runtime, reporter)
    assert any("ce_weight: 0.5 -> 0.25" in said for said in reporter.said)
    assert (Path(runtime.resume_folder) / "distill" / "previous.pt").is_file()
    fresh = run(teacher, embeddings, changed, runtime)
    assert found.history == fresh.history, "old images must not leak into a new run"


def test_resume_required_refuses_what_does_not_fit(teacher, embeddings, distill_config, runtime):
    required = runtime.model_copy(update={"resume": "require"})
    with pytest.raises(InputError, match=r"runtime\.resume"):
        run(teacher, embeddings, distill_config(), required)


def test_a_damaged_state_is_told_and_set_aside(teacher, embeddings, distill_config, runtime):
    state = Path(runtime.resume_folder) / "distill" / "state.pt"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"not a state")
    reporter = StopAfter(-1)
    run(teacher, embeddings, distill_config(), runtime, reporter)
    assert any("cannot be read" in said for said in reporter.said)


def test_student_of_the_last_epoch_comes_out_in_evaluation_mode(teacher, embeddings, distill_config, runtime):
    result = run(teacher, embeddings, distill_config(), runtime)
    assert not result.student.training
    assert [row["phase"] for row in result.history] == ["warm-up", "distillation", "distillation"]
    assert result.images_made == 25 * (2 + 1 + 1)
    assert result.history[-1]["memory_images"] == 100


class Plain(nn.Module):
    """A classifier without BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, 2)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


def test_a_teacher_without_batchnorm_is_refused_unless_its_weight_is_zero(teacher, embeddings, distill_config, runtime):
    plain = Classifier(Plain(), "plain", teacher.class_names, teacher.images)
    with pytest.raises(InputError, match=r"distill\.synthesis\.bn_weight.*set it to 0"):
        run(plain, embeddings, distill_config(), runtime)
    reporter = StopAfter(-1)
    result = run(plain, embeddings, distill_config(synthesis__bn_weight=0.0), runtime, reporter)
    assert any("Warning" in said and "BatchNorm2d" in said for said in reporter.said)
    assert result.history[-1]["bn"] == 0


def test_a_prior_that_stands_in_for_batchnorm_is_a_term_of_its_own(embeddings, distill_config, runtime):
    vit = (
        'transformers:vit{"hidden_size":8,"image_size":8,"num_attention_heads":2,"num_hidden_layers":1,"patch_size":4}'
    )
    teacher = Classifier.build(vit, embeddings.class_names, ImageSpec(8, 1, (0.5,), (0.5,)))
    weights = {"synthesis__bn_weight": 0.0, "synthesis__ce_weight": 0.5, "synthesis__adversarial_weight": 0.0}
    reporter = StopAfter(-1)
    config = distill_config(synthesis__prior="layer_norm", synthesis__prior_weight=3.0, **weights)
    result = run(teacher, embeddings, config, runtime, reporter)
    for row in result.history:
        assert row["prior"] > 0
        assert row["synthesis_loss"] == pytest.approx(0.5 * row["ce"] + 3.0 * row["prior"], rel=1e-4)
    assert not any("BatchNorm2d" in said for said in reporter.said)


def test_a_schedule_of_fewer_images_than_a_student_batch_is_estimated(make_plan):
    few = {"synthesis__batch_size": 2, "synthesis__batches": 1, "student__batch_size": 16}
    made = make_plan(warmup_epochs=0, epochs=1, **few)
    assert "2 images synthesised" in estimate(made, build(made))


def test_the_estimate_counts_what_a_method_keeps_once_in_memory_and_twice_on_disk(make_plan, monkeypatch):
    made = make_plan()

    def sizes() -> list[float]:
        return [float(each) for each in re.findall(r"(?:memory|disk) ([\d.]+) GiB", estimate(made, build(made)))]

    memory, disk = sizes()
    monkeypatch.setattr(made.method, "kept_bytes", 100 * 2**30)
    assert sizes() == pytest.approx([memory + 100, disk + 200], abs=1)


def test_the_estimate_copies_no_bank_and_leaves_no_trace_of_what_was_seen(make_plan, monkeypatch):
    made = make_plan(student__priority=1.0, memory=100_000, epochs=5000)
    state, copied = build(made), []
    monkeypatch.setattr(copy, "deepcopy", lambda value, memo=None: copied.append(value) or deepcopy(value, memo))
    estimate(made, state)
    largest = max(each.untyped_storage().nbytes() for value in copied for each in tensors_in(value))
    assert largest < state.memory.images.nbytes / 4
    assert (state.memory.chances == 0).all()
    assert len(state.memory) == 0


def tensors_in(value) -> list[torch.Tensor]:
    """All tensors in nested mappings and sequences."""
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    return [each for part in inner for each in tensors_in(part)]


@pytest.mark.parametrize(
    "changes", [{}, {"student__cached_targets": 2}, {"student__feature_weight": 2.0}, {"synthesis__method": "dafl"}]
)
def test_the_trial_steps_of_the_estimate_are_taken_back(changes, make_plan):
    made = make_plan(synthesis__batches=3, **changes)
    state, untouched = build(made), build(made)
    torch.manual_seed(6)
    before = torch.get_rng_state()
    estimate(made, state)
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("method", "memory", "targets", "trainer"):
        found, wanted = state.state_dict()[name], untouched.state_dict()[name]
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_the_callers_teacher_is_not_changed(teacher, embeddings, distill_config, runtime):
    teacher.train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    run(teacher, embeddings, distill_config(), runtime)
    assert teacher.training
    assert all(parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


class Turns(FakeMethod):
    """A method that alternates with the student, which sees only the newest batch."""

    alternates, keeps_memory = True, False
    turns: list[str]

    def step(self, student):
        self.turns.append("batch")
        return super().step(student)

    def student_loss(self, teacher_logits, student_logits):
        self.turns.append("student")
        return super().student_loss(teacher_logits, student_logits)


def fake_config(distill_config, **changes):
    config = distill_config(synthesis__batches=3, student__steps=6, **changes)
    synthesis = FakeConfig.model_validate({**dict(config.synthesis), "method": "fake"}, extra="ignore")
    return config.model_copy(update={"synthesis": synthesis})


def test_a_method_may_alternate_with_the_student_without_a_memory(teacher, distill_config, runtime):
    Turns.turns = []
    with registered(Turns):
        result = run(teacher, None, fake_config(distill_config, warmup_epochs=0, epochs=2), runtime)
        trial, probes = 2 + 4 + 4, 2
        assert Turns.turns[trial:-probes] == ["batch", "student", "student"] * 3 * 2
        assert [row["memory_images"] for row in result.history] == [25, 25]
        assert [row["made"] for row in result.history] == [2.0, 5.0]


@pytest.mark.parametrize("calls", [1, 4, 8, 11, 17])
def test_a_run_in_turns_that_was_stopped_goes_on_to_the_same_bits(calls, teacher, distill_config, runtime):
    Turns.turns = []
    with registered(Turns):
        config = fake_config(distill_config)
        whole = run(teacher, None, config, runtime)
        with pytest.raises(Interrupted):
            run(teacher, None, config, runtime, StopAfter(calls))
        resumed = run(teacher, None, config, runtime)
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())


def test_a_student_that_goes_astray_in_turns_learns_the_epoch_again(teacher, distill_config, runtime):
    class Once(Turns):
        batches, student_steps = {}, {4: lambda loss: loss * torch.nan}

    Turns.turns = []
    with registered(Once):
        reporter = StopAfter(-1)
        result = run(teacher, None, fake_config(distill_config, warmup_epochs=0, epochs=1), runtime, reporter)
    assert any("the epoch repeats at half the rate" in said for said in reporter.said)
    assert result.history[0]["made"] == 5.0, "the mean of the second three batches"
    assert Turns.turns.count("student") == 4 + 6 + 6


@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled")
@pytest.mark.parametrize("asked", [True, False])
def test_without_a_compiler_a_run_that_wants_one_is_refused_and_another_goes_on(
    asked, teacher, embeddings, distill_config, runtime, monkeypatch
):
    monkeypatch.setattr(planning, "resolve_compile", lambda *_: True)
    reporter, config = StopAfter(-1), distill_config(epochs=1)
    runtime = runtime.model_copy(update={"compile": asked or "auto"})
    none = {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    with torch._inductor.config.patch(none):
        if asked:
            with pytest.raises(InputError, match=r"runtime\.compile: true, but that fails here \(.*no-such-compiler"):
                run(teacher, embeddings, config, runtime, reporter)
        else:
            run(teacher, embeddings, config, runtime, reporter)
            assert "Warning: nothing can be compiled" in reporter.said[1]
            assert reporter.said[2].startswith("Estimate")


def test_estimate_comes_before_the_first_step(teacher, embeddings, distill_config, runtime):
    reporter = StopAfter(1)
    with pytest.raises(Interrupted):
        run(teacher, embeddings, distill_config(), runtime, reporter)
    assert reporter.said[0].startswith("Estimate for this machine")


class Memory(NullReporter):
    """Notes the resident bytes after each epoch."""

    def __init__(self) -> None:
        self.resident: list[int] = []

    def epoch(self, stage: str, epoch: int, values: object) -> None:
        self.resident.append(psutil.Process().memory_info().rss)


@pytest.mark.parametrize("cached_targets", [None, 2])
def test_memory_is_flat_over_the_epochs(cached_targets, teacher, embeddings, distill_config, runtime):
    memory = Memory()
    config = distill_config(epochs=45, memory=100, student__cached_targets=cached_targets)
    run(teacher, embeddings, config, runtime, memory)
    assert memory.resident[-1] - memory.resident[15] < 6 * 2**20


def test_a_signal_in_the_very_last_write_is_obeyed(teacher, embeddings, distill_config, runtime, monkeypatch):
    write = ResumePoint._write

    def interrupted_write(self, content):
        write(self, content)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ResumePoint, "_write", interrupted_write)
        with pytest.raises(Interrupted, match="SIGINT"):
            run(teacher, embeddings, distill_config(), runtime)
    reporter = StopAfter(-1)
    run(teacher, embeddings, distill_config(), runtime, reporter)
    assert any("finished before" in said for said in reporter.said)
