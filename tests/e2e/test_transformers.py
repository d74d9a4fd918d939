"""Networks of transformers, trained on real data by a plain script, are teachers as they were saved."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification

from nayer import datasets
from nayer.datasets.config import DataConfig
from nayer.models.inference import accuracy
from nayer.teachers.config import TeacherConfig
from nayer.teachers.pretrained import load_pretrained
from nayer.teachers.sources import SOURCES, describe

ASSETS = Path(__file__).parents[1] / "assets"


@pytest.mark.parametrize("kind", ["convnext", "mobilenet_v2", "resnet", "swin", "vit"])
def test_a_network_of_every_kind_answers_here_as_it_did_where_it_was_trained(kind, tmp_path):
    subprocess.run([sys.executable, str(ASSETS / "plain_transformers.py"), kind, str(tmp_path)], check=True)
    its_own = float((tmp_path / "accuracy.txt").read_text())
    assert its_own > 0.4, "it has learnt"
    model = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    source, about = describe(f"transformers:{tmp_path}", SOURCES)
    said = {"source": source, "weights": about.weights, "architecture": about.architecture, "training": None}
    teacher = TeacherConfig.model_validate({**said, "normalisation": {"mean": [0.5], "std": [0.5]}})
    assert (about.mean, about.std, about.image_size) == ((0.5,), (0.5,), 8)
    data = DataConfig(dataset="digits", folder="", image_size=8, channels=1, class_names=list(about.class_names))
    classifier, real = load_pretrained(teacher, data), datasets.load(data)
    images = real.test.images[:100].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), model(pixel_values=(images - 0.5) / 0.5).logits)
    # Both accuracies are of the same digits, but here pixels are rounded to 8 bits.
    assert accuracy(classifier, real.test, torch.device("cpu")) == pytest.approx(its_own, abs=0.01)


def test_a_folder_of_save_pretrained_becomes_a_promoted_student_and_its_int8_file(typed, project):
    shutil.copy(ASSETS / "plain_transformers.py", project)
    assert typed(sys.executable, "plain_transformers.py", "convnext", "owned").returncode == 0
    made = typed(
        "kedro", "scenario", "mine", "--teacher", "transformers:owned", "--test-data", "digits", "--like", "test"
    )
    assert made.returncode == 0, made.stderr
    assert "10 classes, 1x8x8" in made.stdout
    assert "The teacher has no BatchNorm2d" in made.stdout + made.stderr
    gates = "quantize.gate.largest_loss=100.0,promote.gate.least_top1=0.0,promote.gate.least_agreement=0.0"
    loose = ("--params", f"quantize.images=32,{gates}")
    for command in ((), ("--pipelines", "quantize", *loose), ("--pipelines", "promote", *loose)):
        done = typed("kedro", "run", "--env", "mine", *command)
        assert done.returncode == 0, done.stderr
    metrics = json.loads((project / "data/08_reporting/mine/metrics.json").read_text())
    assert metrics["teacher"]["top1"] > 0.7
    assert "is champion" in done.stdout
    assert "INT8: passed" in done.stdout
