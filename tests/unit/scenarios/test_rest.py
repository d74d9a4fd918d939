"""The time that a run spends besides its distillation is estimated from a part of that work."""

import time
import unicodedata
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from nayer.datasets.config import DataConfig
from nayer.datasets.pictures import read_pictures
from nayer.evaluation.config import EvaluateConfig
from nayer.scenarios import rest

CPU = torch.device("cpu")


def folder_of(tmp_path, each: int) -> DataConfig:
    for name in ("ant", "bee", "cat"):
        (tmp_path / name).mkdir()
        for number in range(each):
            Image.new("RGB", (4, 4)).save(tmp_path / name / f"{number}.png")
    return DataConfig(
        dataset="test_folder", folder=str(tmp_path), image_size=8, channels=1, class_names=["cat", "ant", "bee"]
    )


@pytest.mark.parametrize(("each", "most"), [(1, 3), (40, 32)])
def test_some_pictures_of_a_folder_tell_what_all_of_them_take(each, most, tmp_path, monkeypatch):
    asked = []

    def slow(root, files, size):
        asked.extend(files)
        time.sleep(0.01 * len(files))
        return read_pictures(root, files, size)

    monkeypatch.setattr(rest, "read_pictures", slow)
    count, seconds = rest.reading(folder_of(tmp_path, each))
    assert count == 3 * each
    assert most / 2 < len(asked) <= most
    assert {file.parent.name for file in asked} == {"ant", "bee", "cat"}
    assert 0.01 * count <= seconds < 0.1 * count + 2, "two seconds, as other work may get in between"


def test_class_folders_may_be_named_as_macos_writes_them(tmp_path):
    data = folder_of(tmp_path, 2)
    (tmp_path / "ant").rename(tmp_path / unicodedata.normalize("NFD", "café"))
    count, _ = rest.reading(data.model_copy(update={"class_names": ["cat", "café", "bee"]}))
    assert count == 6


def test_a_data_set_is_read_once_as_a_run_does():
    count, seconds = rest.reading(
        DataConfig(dataset="digits", folder="unused", image_size=8, channels=None, class_names=None)
    )
    assert count > 100
    assert seconds > 0


def test_every_test_image_and_probe_is_looked_at_by_every_model_and_latencies_are_taken(teacher, monkeypatch):
    monkeypatch.setattr(rest, "reading", lambda _: (10_000, 40.0))
    monkeypatch.setattr(rest, "seconds_an_image", lambda model, batch, device: 0.002 if model is teacher else 0.001)
    monkeypatch.setattr(rest, "latencies_seconds", lambda model, budget: 10 * budget)
    evaluate = EvaluateConfig(batch_size=200, calibration_bins=15, latency_seconds=0.3, baselines=[])
    for dataset, count, reading in (("none", 0, 0.0), ("cifar10", 10_000, 40.0)):
        parameters = SimpleNamespace(
            data=SimpleNamespace(dataset=dataset), evaluate=evaluate, distill=SimpleNamespace(probe_images=100)
        )
        found = rest.rest_seconds(parameters, (teacher, object()), CPU)
        assert found == pytest.approx(rest.OVERHEAD_SECONDS + reading + (count + 100) * 0.003 + 6.0)


def test_a_few_large_images_tell_what_one_takes_and_the_model_stays_where_it_was(teacher, monkeypatch):
    passes = []

    def predict(model, images, device, batch):
        assert model is not teacher
        passes.append(len(images))
        time.sleep(0.05 / len(passes))

    monkeypatch.setattr(rest, "predict", predict)
    monkeypatch.setattr(rest, "SOME_PIXELS", 5 * 8**2)
    assert rest.seconds_an_image(teacher, 200, CPU) == pytest.approx(0.025 / 5, rel=0.9)
    assert passes == [5, 5], "the first warms up"
    assert rest.seconds_an_image(teacher, 2, CPU) > 0
    assert passes[2:] == [2, 2]
