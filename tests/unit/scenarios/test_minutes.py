"""A scenario for so many minutes has a schedule that takes them, for images of every size and any number of classes."""

import shutil
from pathlib import Path

import pytest
import yaml

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.distillation.cost import StepSeconds
from nayer.engine.compilation import CannotCompile
from nayer.engine.progress import NullReporter
from nayer.models.classifier import Classifier
from nayer.scenarios import minutes
from nayer.scenarios.create import create
from nayer.scenarios.options import TeacherOptions

PROJECT = Path(__file__).parents[3]
# A batch of 30 steps takes 6.4 s.
COST = StepSeconds(few_steps=0.4, many_steps=0.4 + 7 * 0.2, add=0.2, student_step=0.07)
SHAPES = [(8, 1, 3), (28, 1, 10), (32, 3, 100), (64, 3, 200), (32, 3, 300), (224, 3, 10)]


class Listener(NullReporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def teacher_of(size: int, channels: int, classes: int) -> None:
    names = tuple(f"thing {number}" for number in range(classes))
    spec = ImageSpec(size, channels, (0.3,) * channels, (0.4,) * channels)
    Classifier.build("wrn-10-1", names, spec).save(Path("teacher.safetensors"))


def made(project: Path, **said) -> dict:
    create(project, "mine", TeacherOptions("teacher.safetensors", **said), NullReporter())
    return yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("wanted", [3.0, 30.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batches_and_student_steps_take_the_minutes_but_for_the_rest_of_a_run(shape, wanted, project, monkeypatch):
    teacher_of(*shape)
    monkeypatch.setattr(minutes, "time_steps", lambda *_: COST)
    found = made(project, minutes=wanted)
    synthesis, student = found["synthesis"], found["student"]
    assert synthesis["batch_size"] % shape[2] == 0 or synthesis["batch_size"] < shape[2]
    batches = found["warmup_epochs"] * synthesis["warmup_batches"] + found["epochs"] * synthesis["batches"]
    seconds = batches * COST.batch(synthesis["steps"]) + found["epochs"] * student["steps"] * COST.student_step
    assert synthesis["batch_size"] * shape[0] ** 2 <= 48 * 224**2, "as large as a batch of conf/imagenet at most"
    assert found["probe_images"] == synthesis["batch_size"]
    whole = seconds + COST.batch(synthesis["steps"]) + minutes.OVERHEAD_SECONDS
    assert 0.92 * 60 * wanted < whole <= 60 * wanted
    assert found["epochs"] * student["steps"] * COST.student_step == pytest.approx(seconds / 2, rel=0.1)


@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        ({"minutes": 30.0}, 600),
        ({"minutes": 30.0, "method": "fast_dfkd"}, 600),
        ({"minutes": 30.0, "method": "dafl"}, 0),
        ({}, 0),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_procedural_pictures_lie_beside_the_colour_images_of_a_teacher_without_batchnorm(
    said, leaves, channels, project, monkeypatch
):
    leaves = leaves if channels == 3 else 0
    name = 'transformers:convnext{"depths":[1,1],"hidden_sizes":[6,12],"image_size":28,"num_stages":2,"patch_size":2}'
    spec = ImageSpec(28, channels, (0.3,) * channels, (0.4,) * channels)
    Classifier.build(name, ("ant", "bee", "cat", "dog"), spec).save(Path("bare.safetensors"))
    monkeypatch.setattr(minutes, "time_steps", lambda *_: COST)
    listener = Listener()
    create(project, "mine", TeacherOptions("bare.safetensors", **said), listener)
    found = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert found.get("leaves", 0) == leaves
    assert (found["student"].get("cached_targets") == 2) is bool(leaves)
    assert any("procedural pictures lie beside its images" in each for each in listener.said) is bool(leaves)


def test_what_steps_cost_is_measured_here_and_said(project):
    teacher_of(8, 1, 3)
    listener = Listener()
    create(project, "mine", TeacherOptions("teacher.safetensors", minutes=30.0, student="wrn-10-1"), listener)
    found = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert "is made of its weights (distill.student.start)" in listener.said[0]
    assert "The student, wrn-10-1, has" in listener.said[1], "before anything is measured"
    assert "to fill 30 min" in listener.said[2]
    images = found["synthesis"]["warmup_batches"] + found["epochs"] * found["synthesis"]["batches"]
    assert f"{images * found['synthesis']['batch_size']:,} images" in listener.said[3]
    assert found["student"]["architecture"] == "wrn-10-1"


@pytest.mark.parametrize(
    ("student", "start"), [("wrn-10-1", "reconstructed"), ("wrn-16-1", "random"), ("resnet-18", "random")]
)
@pytest.mark.parametrize("wanted", [10.0, 25.0, 40.0])
def test_a_student_of_its_teachers_family_starts_from_it_and_almost_at_once(
    wanted, student, start, project, monkeypatch
):
    teacher_of(28, 1, 10)
    monkeypatch.setattr(minutes, "time_steps", lambda *_: COST)
    found = made(project, minutes=wanted, student=student)
    assert found["student"]["start"] == start
    batches = found["synthesis"]["warmup_batches"] + found["epochs"] * found["synthesis"]["batches"]
    share = found["synthesis"]["warmup_batches"] / batches
    assert minutes.WARMUP_SHARE[start] == pytest.approx(share, abs=0.06)
    assert ("rise" in found["student"]) == (start == "reconstructed")


def test_a_scenarios_recipe_and_another_method_can_fill_minutes_too(project, monkeypatch):
    teacher_of(28, 1, 10)
    monkeypatch.setattr(minutes, "time_steps", lambda *_: COST)
    found = made(project, minutes=10.0, like="fashion_mnist", method="dfq")
    assert found["synthesis"]["method"] == "dfq"
    assert found["student"]["architecture"] == "wrn-10-1"
    assert found["student"]["steps"] == 10 * found["synthesis"]["batches"], "as published"


@pytest.mark.parametrize("can", [True, False])
def test_a_run_that_will_compile_its_networks_is_measured_so(can, project, monkeypatch):
    teacher_of(28, 1, 10)
    compiled = COST.model_copy(update={"many_steps": 0.4 + 7 * 0.1, "student_step": 0.035})

    def time_steps(made, _):
        if made.compile and not can:
            raise CannotCompile("no compiler")
        return compiled if made.compile else COST

    monkeypatch.setattr(minutes, "time_steps", time_steps)
    monkeypatch.setattr(minutes, "build", lambda _: None)
    plain = made(project, minutes=30.0)
    shutil.rmtree(project / "conf" / "mine")
    monkeypatch.setattr(minutes, "resolve_compile", lambda runtime, device, pixels: pixels > 1e6)
    found = made(project, minutes=30.0)
    more = (found["epochs"] * found["student"]["steps"]) / (plain["epochs"] * plain["student"]["steps"])
    assert more == pytest.approx(2 if can else 1, rel=0.05)


def test_minutes_that_are_too_few_for_this_machine_are_refused_and_nothing_is_written(project, monkeypatch):
    teacher_of(8, 1, 3)
    slow = StepSeconds(few_steps=30, many_steps=30 + 7 * 9, add=1, student_step=5)
    monkeypatch.setattr(minutes, "time_steps", lambda *_: slow)
    with pytest.raises(InputError, match="MINUTES: 3, but what a run does here beside the distillation takes"):
        made(project, minutes=3.0)
    assert not (project / "conf/mine").exists()
