"""A teacher that was stopped goes on only with what it began with."""

from pathlib import Path

import pytest
from PIL import Image

from nayer.core.errors import Interrupted
from nayer.datasets.config import DataConfig
from nayer.engine.progress import NullReporter
from nayer.pipelines.teacher.nodes import train_teacher
from nayer.teachers.config import TeacherConfig


class Listening(NullReporter):
    """Keeps what is said, and stops the training at a step, as a signal would."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.said: list[str] = []
        self.steps, self.stop_at = 0, stop_at

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, done: float, text: str) -> None:
        self.steps += 1
        if self.steps == self.stop_at:
            raise Interrupted("Stopped by SIGTERM.", 15)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, count in (("train", 6), ("test", 1)):
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (8, 8), (100 * label, 10 * index, 0)).save(tmp_path / part / name / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize("changed", [False, True])
def test_a_teacher_goes_on_only_with_the_images_it_began_with(changed, folder, runtime, read_parameters):
    data = DataConfig(dataset="image_folder", folder=str(folder), image_size=8, channels=None, class_names=None)
    values = {**read_parameters("test", "teacher"), "architecture": "wrn-10-1"}
    config = TeacherConfig.model_validate({**values, "training": {**values["training"], "batch_size": 4, "epochs": 1}})
    eager = runtime.model_copy(update={"checkpoint_seconds": 1e-9})
    with pytest.raises(Interrupted):
        train_teacher(config, config.training, data, eager, 0, Listening(stop_at=2))  # after the first state
    if changed:
        (folder / "train" / "ant" / "1.png").rename(folder / "train" / "bee" / "9.png")
    train_teacher(config, config.training, data, eager, 0, listener := Listening())
    assert any("training_data: " in each and "does not fit" in each for each in listener.said) == changed
    assert any("going on in epoch 1" in each for each in listener.said) != changed
