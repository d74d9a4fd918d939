"""A study's teacher of somebody's script comes in as any user's does, once, with what made it beside it."""

import json
import threading
import time
from dataclasses import dataclass, field

import pytest
from harness import teachers
from harness.teachers import TeacherSpec, train_once

from nayer.core.errors import InputError
from nayer.engine.progress import NullReporter

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
    """Where the teacher and what it needs lie."""

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
    with teachers.held(here.folder / "resume.lock", "", NullReporter()):
        begun.start()
        time.sleep(0.5)
        assert not (here.folder / "resume").exists(), "it waits"
    begun.join()
    assert (here.folder / "mine.json").exists()
