"""The plain training script of a transformers teacher continues where it was stopped."""

import argparse
from pathlib import Path

import pytest
import torch
from transformers_teacher import BATCH, Training, network


@pytest.fixture
def training(tmp_path):
    def made(epochs: int = 3, out: Path = tmp_path) -> Training:
        torch.manual_seed(0)
        model = network("convnext", 28, 1, ["ant", "bee"])
        return Training(model, argparse.Namespace(out=out, epochs=epochs), steps=1)

    return made


def epochs(training: Training, wanted: range) -> list[float]:
    images = torch.randint(256, (2 * BATCH, 1, 28, 28), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    labels = torch.arange(2 * BATCH) % 2
    found = []
    for each in wanted:
        found.append(training.epoch(images, labels, lambda pixels: training.model(pixel_values=pixels).logits))
        training.keep(each + 1)
    return found


def test_a_stopped_training_goes_on_to_the_same_losses_and_another_starts_afresh(training, tmp_path):
    whole = epochs(training(out=tmp_path / "whole"), range(3))
    stopped = training()
    assert stopped.restore() == 0
    assert epochs(stopped, range(1)) == whole[:1]
    resumed = training()
    torch.manual_seed(9)  # makes no difference: the kept state of the generator is restored
    assert resumed.restore() == 1
    assert epochs(resumed, range(1, 3)) == whole[1:]
    assert training(epochs=4).restore() == 0, "asked for something else"
