"""Seconds that a run takes on this machine in addition to its distillation."""

import copy
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from nayer import datasets
from nayer.datasets.config import DataConfig
from nayer.datasets.folders import list_test
from nayer.datasets.pictures import read_pictures
from nayer.evaluation.cost import latencies_seconds
from nayer.models.classifier import Classifier
from nayer.models.inference import predict
from nayer.workflow.parameters import Parameters

# Start-up, text encoder, figures and report.
OVERHEAD_SECONDS = 25
# Pictures of a folder that are read, and pixels of the batch that is predicted, to estimate the time for all of them.
SOME_PICTURES, SOME_PIXELS = 32, 2**21


def rest_seconds(parameters: Parameters, models: Iterable[Classifier], device: torch.device) -> float:
    """Seconds of a whole run without its distillation, but with the evaluation of these models."""
    data, evaluate = parameters.data, parameters.evaluate
    count, seconds = (0, 0.0) if data.dataset == datasets.NONE else reading(data)
    looking = [
        (count + parameters.distill.probe_images) * seconds_an_image(model, evaluate.batch_size, device)
        + latencies_seconds(model, evaluate.latency_seconds)
        for model in models
    ]
    return OVERHEAD_SECONDS + seconds + sum(looking)


def reading(data: DataConfig) -> tuple[int, float]:
    """Number of test images, and seconds to read them; for a folder of pictures, estimated from some of them."""
    began = time.perf_counter()
    if data.dataset != "test_folder":
        return len(datasets.load(data).test), time.perf_counter() - began
    datasets.check(data)
    files = [file for of_class in list_test(data, "") for file in of_class]
    some = files[:: -(-len(files) // SOME_PICTURES)]
    began = time.perf_counter()
    read_pictures(Path(data.folder), some, data.image_size)
    return len(files), (time.perf_counter() - began) / len(some) * len(files)


def seconds_an_image(model: Classifier, batch: int, device: torch.device) -> float:
    """Seconds per image of a prediction on the device, in the second pass of a batch; the model itself is not moved."""
    model, spec = copy.deepcopy(model), model.images
    count = max(1, min(batch, SOME_PIXELS // spec.size**2))
    images = torch.zeros(count, spec.channels, spec.size, spec.size, dtype=torch.uint8)
    for _ in range(2):
        began = time.perf_counter()
        predict(model, images, device, batch)
        passed = time.perf_counter() - began
    return passed / count
