"""A study's teacher from a plain script is loaded like any user's own, once, and kept with its recipe."""

import json
import threading
import time
from dataclasses import dataclass, field

import pytest
from harness import teachers
from harness.locks import held
from harness.scenario import data_of, runtime
from harness.teachers import TeacherSpec, train_here, train_once, trained_by

from nayer.core.errors import InputError
from nayer.engine.progress import NullReporter
from nayer.pipelines.teacher.nodes import train_teacher

SCRIPT = """
import json, sys
from transformers import ConvNextConfig, ConvNextForImageClassification, ViTImageProcessor
kind, data, out, *options = sys.argv[1:]
sizes = {"depths": [1, 1], "hidden_sizes": [6, 12]}
sizes |= {"num_stages": 2, "patch_size": 2, "image_size": 8, "num_channels": 1}
ConvNextForImageClassification(ConvNextConfig(**sizes, num_labels=10)).save_pretrained(out)
ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.3], image_std=[0.4]).save_pretrained(out)
open(out + "/training.json", "w").write(json.dumps({"validation_accuracy": 0.1, "options": options}))
"""


@dataclass
class Here:
    """The folder of a teacher, and its specification."""

    folder: object
    spec: TeacherSpec = field(default_factory=lambda: TeacherSpec(scenario="digits", architecture="convnext"))

    def train(self, **changes):
        spec = self.spec.model_copy(update=changes)
        return train_once("mine", spec, self.folder, self.folder / "resume", NullReporter())


@pytest.fixture
def here(tmp_path, monkeypatch) -> Here:
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setattr(teachers, "SCRIPT", tmp_path / "script.py")
    return Here(tmp_path)


def test_it_is_brought_from_its_folder_with_its_own_normalisation(here):
    teacher = here.train()
    assert teacher.architecture.startswith("transformers:convnext{")
    assert (teacher.images.size, teacher.images.mean, teacher.images.std) == (8, (0.3,), (0.4,))
    record = json.loads((here.folder / "mine.json").read_text())
    assert record["validation_accuracy"] == 0.1
    assert record["recipe"]["script"] == "script.py"


def test_it_is_not_made_twice_and_not_taken_for_one_of_another_recipe(here):
    here.train()
    teachers.SCRIPT.write_text("raise SystemExit(1)")
    here.train()
    with pytest.raises(InputError, match="was made by another recipe"):
        here.train(training={"epochs": 3})


def test_two_processes_do_not_train_it_at_once(here):
    begun = threading.Thread(target=here.train)
    with held(here.folder / "resume.lock", "", NullReporter()):
        begun.start()
        time.sleep(0.5)
        assert not (here.folder / "resume").exists(), "it waits"
    begun.join()
    assert (here.folder / "mine.json").exists()


def test_one_that_is_trained_here_is_the_pipelines(tmp_path):
    spec = TeacherSpec(scenario="test", architecture="wrn-10-1", seed=3)
    teacher, found = train_here(spec, tmp_path, NullReporter())
    config, there = trained_by(spec), runtime(resume_folder=str(tmp_path / "there"))
    made, history, _ = train_teacher(config, config.training, data_of("test"), there, 3, NullReporter())
    teacher.cpu().save(tmp_path / "here.safetensors")
    made.cpu().save(tmp_path / "there.safetensors")
    assert (tmp_path / "here.safetensors").read_bytes() == (tmp_path / "there.safetensors").read_bytes()
    assert found["validation_accuracy"] == history["validation_accuracy"].iloc[-1]
