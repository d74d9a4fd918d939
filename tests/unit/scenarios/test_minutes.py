"""A scenario for MINUTES= has a schedule that takes these minutes, for any image size and number of classes."""

import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.distillation import plan as planning
from nayer.distillation.budget import Budget, scaled, schedule_for
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import StepSeconds, measuring_seconds
from nayer.engine.compilation import CannotCompile
from nayer.engine.progress import NullReporter
from nayer.models.classifier import Classifier
from nayer.scenarios import minutes
from nayer.scenarios.create import by_method, create
from nayer.scenarios.options import TeacherOptions
from nayer.synthesis.registry import METHODS

PROJECT = Path(__file__).parents[3]
# With these costs, a batch of 30 steps takes 6.4 s.
COST = StepSeconds(few_steps=0.4, many_steps=0.4 + 7 * 0.2, add=0.2, student_step=0.07)
REST, ESTIMATE = 25.0, 3.48
SHAPES = [(8, 1, 3), (28, 1, 10), (32, 3, 100), (64, 3, 200), (32, 3, 300), (224, 3, 10)]


class Listener(NullReporter):
    """Keeps all messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def teacher_of(size: int, channels: int, classes: int) -> None:
    names = tuple(f"thing {number}" for number in range(classes))
    spec = ImageSpec(size, channels, (0.3,) * channels, (0.4,) * channels)
    Classifier.build("wrn-10-1", names, spec).save(Path("teacher.safetensors"))


def made(project: Path, reporter: NullReporter | None = None, **said) -> dict:
    shutil.rmtree(project / "conf/mine", ignore_errors=True)
    create(project, "mine", TeacherOptions("teacher.safetensors", **said), reporter or NullReporter())
    return yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]


def images_of(distill: dict) -> int:
    synthesis = distill["synthesis"]
    batches = distill["warmup_epochs"] * synthesis["warmup_batches"] + distill["epochs"] * synthesis["batches"]
    return batches * synthesis["batch_size"]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def costing(monkeypatch) -> Callable[[StepSeconds], None]:
    """Sets the cost of steps, and REST seconds for the rest of a run, so that nothing is built and measured."""

    def set_cost(cost: StepSeconds) -> None:
        monkeypatch.setattr(minutes, "first_step", lambda *_: cost.few_steps)
        monkeypatch.setattr(minutes, "time_steps", lambda *_: cost)
        monkeypatch.setattr(minutes, "rest_seconds", lambda *_: REST)
        monkeypatch.setattr(minutes, "build", lambda _: None)
        monkeypatch.setattr(minutes, "timed_build", lambda _: (None, 0.0))

    return set_cost


@pytest.mark.parametrize("wanted", [3.0, 30.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batches_and_student_steps_take_the_minutes_but_for_the_rest_of_a_run(shape, wanted, project, costing):
    teacher_of(*shape)
    costing(COST)
    found = made(project, minutes=wanted)
    synthesis, student = found["synthesis"], found["student"]
    assert synthesis["batch_size"] % shape[2] == 0 or synthesis["batch_size"] < shape[2]
    batches = found["warmup_epochs"] * synthesis["warmup_batches"] + found["epochs"] * synthesis["batches"]
    seconds = batches * COST.batch(synthesis["steps"]) + found["epochs"] * student["steps"] * COST.student_step
    assert synthesis["batch_size"] * shape[0] ** 2 <= 48 * 224**2, "as large as a batch of conf/imagenet at most"
    assert found["probe_images"] == synthesis["batch_size"]
    whole = seconds + COST.batch(synthesis["steps"]) + ESTIMATE + REST
    assert 0.92 * 60 * wanted < whole <= 60 * wanted
    assert found["epochs"] * student["steps"] * COST.student_step == pytest.approx(seconds / 2, rel=0.1)


@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        ({"minutes": 30.0}, 600),
        ({"minutes": 30.0, "method": "fast_dfkd"}, 600),
        ({"minutes": 30.0, "method": "dafl"}, 0),
        ({}, 600),
        ({"like": "fashion_mnist"}, 0),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_procedural_pictures_lie_beside_the_colour_images_of_a_teacher_without_batchnorm(
    said, leaves, channels, project, costing
):
    leaves = leaves if channels == 3 else 0
    name = 'transformers:convnext{"depths":[1,1],"hidden_sizes":[6,12],"image_size":28,"num_stages":2,"patch_size":2}'
    spec = ImageSpec(28, channels, (0.3,) * channels, (0.4,) * channels)
    Classifier.build(name, ("ant", "bee", "cat", "dog"), spec).save(Path("bare.safetensors"))
    costing(COST)
    listener = Listener()
    create(project, "mine", TeacherOptions("bare.safetensors", **said), listener)
    found = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert found.get("leaves", 0) == leaves
    assert (found["student"].get("cached_targets") == 2) is bool(leaves)
    assert any("procedural pictures are added" in each for each in listener.said) is bool(leaves)


def test_what_steps_cost_is_measured_here_and_said(project):
    teacher_of(8, 1, 3)
    listener = Listener()
    create(project, "mine", TeacherOptions("teacher.safetensors", minutes=10.0, student="wrn-10-1"), listener)
    found = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert "starts from its weights (distill.student.start)" in listener.said[0]
    assert "The student, wrn-10-1, has" in listener.said[1], "before anything is measured"
    assert "to fill 10 min" in listener.said[2]
    images = found["synthesis"]["warmup_batches"] + found["epochs"] * found["synthesis"]["batches"]
    assert f"{images * found['synthesis']['batch_size']:,} images" in listener.said[3]
    assert found["student"]["architecture"] == "wrn-10-1"


@pytest.mark.parametrize(
    ("student", "start"), [("wrn-10-1", "reconstructed"), ("wrn-16-1", "random"), ("resnet-18", "random")]
)
@pytest.mark.parametrize("wanted", [10.0, 25.0, 40.0])
def test_a_student_of_its_teachers_family_starts_from_it_and_almost_at_once(wanted, student, start, project, costing):
    teacher_of(28, 1, 10)
    costing(COST)
    found = made(project, minutes=wanted, student=student)
    assert found["student"]["start"] == start
    batches = found["synthesis"]["warmup_batches"] + found["epochs"] * found["synthesis"]["batches"]
    share = found["synthesis"]["warmup_batches"] / batches
    assert minutes.WARMUP_SHARE[start] == pytest.approx(share, abs=0.06)
    assert ("rise" in found["student"]) == (start == "reconstructed")


def test_a_scenarios_recipe_and_another_method_can_fill_minutes_too(project, costing):
    teacher_of(28, 1, 10)
    costing(COST)
    found = made(project, minutes=10.0, like="fashion_mnist", method="dfq")
    assert found["synthesis"]["method"] == "dfq"
    assert found["student"]["architecture"] == "wrn-10-1"
    assert found["student"]["steps"] == 10 * found["synthesis"]["batches"], "as published"


@pytest.mark.parametrize(
    ("wanted", "seconds", "asked", "more", "kept"),
    [
        (30.0, 60.0, "auto", 1.93, None),
        (30.0, 1200.0, "auto", 1.0, False),
        (30.0, None, "auto", 1.0, False),
        (4.0, 0.0, "auto", 1.0, False),
        (30.0, 300.0, True, 1.64, None),
    ],
    ids=["pays", "does not pay", "cannot", "too short to try", "asked for"],
)
def test_networks_are_compiled_where_that_leaves_more_of_the_minutes(
    wanted, seconds, asked, more, kept, project, costing, monkeypatch
):
    teacher_of(28, 1, 10)
    costing(COST)
    compiled = COST.model_copy(update={"few_steps": 0.2, "many_steps": 0.9, "add": 0.1, "student_step": 0.035})
    plain = made(project, minutes=wanted)

    def time_compiled(plan, cost, reporter):
        assert not plan.compile, "the seconds of compiling are told apart"
        return (compiled, seconds) if seconds is not None else (cost, 0.0)

    monkeypatch.setattr(minutes, "time_compiled", time_compiled)
    monkeypatch.setattr(planning, "resolve_compile", lambda runtime, device, pixels: pixels > 1e5)
    base = project / "conf/base/parameters.yml"
    base.write_text(base.read_text().replace("compile: auto", f"compile: {str(asked).lower()}"))
    found = made(project, minutes=wanted)
    gained = (found["epochs"] * found["student"]["steps"]) / (plain["epochs"] * plain["student"]["steps"])
    assert gained == pytest.approx(more, rel=0.05)
    written = project / "conf/mine/parameters_runtime.yml"
    assert (yaml.safe_load(written.read_text())["runtime"]["compile"] if written.exists() else None) is kept


def test_what_cannot_be_compiled_costs_what_it_did_and_is_told(make_plan, costing, monkeypatch):
    def time_steps(*_):
        raise CannotCompile("no compiler")

    costing(COST)
    monkeypatch.setattr(minutes, "time_steps", time_steps)
    listener = Listener()
    assert minutes.time_compiled(make_plan(), COST, listener) == (COST, 0.0)
    assert listener.said[-1] == "Nothing can be compiled here (no compiler)."


def test_of_a_compiled_measurement_only_what_compiling_takes_is_taken_off(make_plan, costing, monkeypatch):
    costing(COST)
    monkeypatch.setattr(minutes.time, "monotonic", iter([0.0, 100.0]).__next__)
    config = make_plan().config
    _, seconds = minutes.time_compiled(make_plan(), COST, NullReporter())
    assert seconds == pytest.approx(100 - measuring_seconds(config, COST))
    assert 80 < seconds < 97


@pytest.mark.parametrize("classes", [10, 200, 1000])
@pytest.mark.parametrize(("step", "method"), [(1.0, "nayer"), (10.0, "nayer"), (60.0, "dafl")])
def test_minutes_too_few_for_an_image_of_each_class_are_refused_with_some_that_are_enough(
    method, step, classes, project, costing
):
    teacher_of(224, 1, classes)
    costing(StepSeconds(few_steps=1.2 * step, many_steps=8.2 * step, add=step, student_step=step / 10))
    with pytest.raises(InputError, match=r"MINUTES: 3, but a run with the fewest images that make sense, ") as refused:
        made(project, minutes=3.0, method=method)
    assert not (project / "conf/mine").exists()
    (enough,) = re.findall(r"give (\d+) or more\.$", str(refused.value))
    assert images_of(made(project, minutes=float(enough), method=method)) >= classes
    with pytest.raises(InputError, match="MINUTES"):
        made(project, minutes=float(enough) / 2, method=method)


@pytest.mark.parametrize("method", ["nayer", "dafl"])
@pytest.mark.parametrize("classes", [10, 200, 1000])
@pytest.mark.parametrize("each", [1, 10])
@pytest.mark.parametrize("student_step", [0.01, 60.0])
def test_the_minutes_that_are_needed_are_the_least(student_step, each, classes, method, distill_config):
    own = {"synthesis__method": method, "synthesis__batch_size": 48, "student__steps": 12}
    filling = minutes.Filling(0, distill_config(**own), classes)
    cost = COST.model_copy(update={"student_step": student_step})
    needed = filling.needed(each, 100.0, cost)
    left = 60 * needed - filling.rest(100.0, cost)
    enough = Budget(left / 60 + 1e-6, minutes.STUDENT_SHARE, student_step, 0.25, 10**6)
    found = scaled(filling.config.model_dump(), schedule_for(filling.config, cost, enough))
    assert images_of(found) >= max(each * classes, 2 * 48 * (method == "nayer"))
    less = replace(enough, minutes=(left - 0.02) / 60)
    if student_step < 1:  # a rest of less than a step goes to the images
        with pytest.raises(InputError) if filling.batches(each) <= 2 else nullcontext():
            found = scaled(filling.config.model_dump(), schedule_for(filling.config, cost, less))
            assert images_of(found) < each * classes


def test_a_first_step_that_takes_far_too_long_is_the_last_one(project, costing, monkeypatch):
    teacher_of(28, 1, 10)
    costing(COST)
    monkeypatch.setattr(minutes, "first_step", lambda *_: 30.0)
    monkeypatch.setattr(minutes, "time_steps", lambda *_: pytest.fail("more were timed"))
    monkeypatch.setattr(minutes, "timed_build", lambda _: pytest.fail("a student was made of its teacher"))
    with pytest.raises(
        InputError, match=r"^MINUTES: 10, .* 400 for 10 classes, takes about .* min here; give \d+ or more"
    ):
        made(project, minutes=10.0)


def test_few_images_of_each_class_are_told_with_the_minutes_that_make_more(project, costing):
    teacher_of(32, 3, 300)
    costing(COST)
    listener = Listener()
    made(project, listener, minutes=3.0)
    (line,) = (each for each in listener.said if "are few" in each)
    (more,) = re.findall(r"MINUTES=(\d+) would make 10\.", line)
    listener.said.clear()
    assert images_of(made(project, listener, minutes=float(more))) >= 10 * 300
    assert not any("are few" in each for each in listener.said)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_gpu_keeps_no_more_images_than_it_holds(device, project, costing, monkeypatch):
    teacher_of(28, 1, 10)
    costing(COST)
    shared = project / "conf/base/parameters.yml"
    shared.write_text(shared.read_text().replace("memory_gib: 4.0", "memory_gib: 0.01"))
    plans, runtimes = [], []

    def planned(*given, runtime, seed):
        runtimes.append(runtime)
        plans.append(replace(planning.plan(*given, runtime, seed), device=torch.device(device)))
        return plans[-1]

    monkeypatch.setattr(minutes, "plan", planned)
    listener = Listener()
    found = made(project, listener, minutes=60.0)
    assert plans[0].record, "few images are measured with"
    assert not plans[-1].record, "all of them would lie on disk"
    assert ("memory" in found) is (device == "cuda")
    assert any("the memory keeps the newest" in each for each in listener.said) is (device == "cuda")
    if device == "cuda":
        config = plans[-1].config.model_copy(update={"memory": found["memory"]})
        again = planned(plans[-1].teacher, plans[-1].embeddings, config, runtime=runtimes[-1], seed=0)
        assert again.record
        assert again.image_gib + again.target_gib == pytest.approx(0.01, rel=0.01)


def test_of_several_processes_one_is_measured_as_it_will_be_and_that_is_said(project, costing, monkeypatch):
    teacher_of(28, 1, 10)
    costing(COST)
    shared = project / "conf/base/parameters.yml"
    changed = shared.read_text().replace("processes: 1", "processes: 2").replace("memory_gib: 4.0", "memory_gib: 0.01")
    shared.write_text(changed.replace("device: auto", "device: cpu"))
    plans = []
    monkeypatch.setattr(minutes, "time_steps", lambda plan, *_: plans.append(plan) or COST)
    listener = Listener()
    found = made(project, listener, minutes=60.0)
    assert not plans[0].record
    assert any("of 2 processes (runtime.processes) is measured" in each for each in listener.said)
    assert found["memory"] % 2 == 0
    features = 64
    assert found["memory"] * (28**2 + 8 * (3 + 2 * (10 + features))) == pytest.approx(2 * 0.01 * 2**30, rel=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_images_have_batches_and_views_that_every_method_takes(method, read_parameters):
    distill = by_method(method, minutes.recipe(ImageSpec(1104, 3, (0.3,) * 3, (0.4,) * 3), 3))
    assert distill["synthesis"]["batch_size"] == 2
    assert distill["augmentation"]["padding"] == 127
    shared = read_parameters("base", "distill")
    DistillConfig.model_validate({**shared, **distill, "student": {**shared["student"], **distill["student"]}})
