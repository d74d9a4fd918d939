"""Reading a randomly changed file ends in a clear error or in its content, never in a crash, a hang or high memory."""

import json
import multiprocessing
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import BATCHES, CLASSES, RAW, READERS, SECONDS, batch, keeping_in
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoModelForImageClassification, CLIPImageProcessor, ViTConfig, ViTImageProcessor

from nayer.core.images import ImageSpec
from nayer.datasets.known import KNOWN
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.export.onnx import to_onnx
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.synthesis.sample import SyntheticSample

FILES, MAX_MIB = 25, 1024
SMALL = {
    **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    **{"image_size": 8, "patch_size": 4, "num_channels": 1},
}
MODULES = ("hypothesis", "nayer.datasets", "nayer.models.classifier", "nayer.engine.resume", "torchvision.datasets")


def write_idx(file: Path, content: np.ndarray) -> None:
    file.write_bytes(struct.pack(f">HBB{content.ndim}I", 0, 8, content.ndim, *content.shape) + content.tobytes())


def write_known_sets(folder: Path, generator: np.random.Generator) -> None:
    (folder / RAW).mkdir(parents=True)
    for part in ("train", "t10k"):
        write_idx(folder / RAW / f"{part}-images-idx3-ubyte", generator.integers(0, 256, (20, 28, 28), np.uint8))
        write_idx(folder / RAW / f"{part}-labels-idx1-ubyte", generator.integers(0, 10, 20, np.uint8))
    (folder / BATCHES).mkdir()
    for name in KNOWN["cifar10"].required:
        content = {"data": generator.integers(0, 256, (3, 3072), np.uint8), "labels": [1, 2, 3], "label_names": []}
        (folder / name).write_bytes(pickle.dumps(content))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with one intact file of every kind."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    classifier = Classifier.build("wrn-10-1", CLASSES, ImageSpec(8, 1, (0.3,), (0.4,)))
    classifier.save(folder / "classifier.safetensors")
    weights = classifier.network.state_dict()
    save_file(weights, folder / "weights.safetensors")
    torch.save({"epoch": 3, "state_dict": weights}, folder / "weights.pt")
    torch.save({"model": weights}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.export.save(
        torch.export.export(classifier.network.eval(), (torch.zeros(2, 1, 8, 8),)), folder / "program.pt2"
    )
    LabelEmbeddings(torch.rand(3, 6), CLASSES, "random", "seed 2", "none").save(folder / "table.safetensors")
    save_file({"embeddings": torch.rand(3, 6)}, folder / "foreign.safetensors")
    images = torch.randint(256, (6, 1, 8, 8), dtype=torch.uint8)
    SyntheticSample(images, torch.arange(6) % 3).save(folder / "sample.safetensors")
    config = ViTConfig(**SMALL, id2label=dict(enumerate(CLASSES)))
    AutoModelForImageClassification.from_config(config).save_pretrained(folder / "hub", max_shard_size="15KB")
    ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=0.5, image_std=0.5).save_pretrained(folder / "hub")
    shutil.copytree(folder / "hub", folder / "crop")
    CLIPImageProcessor(
        size={"shortest_edge": 9}, crop_size={"height": 8, "width": 8}, image_mean=0.5, image_std=0.5
    ).save_pretrained(folder / "crop")
    to_onnx(classifier.eval())[0].save(folder / "student.onnx")
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 256, (20, 24, 3), np.uint8))
    picture.save(folder / "picture.png")
    picture.save(folder / "picture.jpg")
    write_known_sets(folder, generator)
    state = {"images": images, "network": weights, "counters": [1, 2, 3], "history": [{"epoch": 1, "loss": 0.5}]}
    ResumePoint(keeping_in(folder / "resume"), "stage", {"seed": 1}, NullReporter()).keep(lambda: state)
    return folder


@pytest.mark.campaign(short=1, long=8)
@pytest.mark.parametrize("name", READERS)
def test_a_file_changed_at_random_ends_in_a_sentence_or_in_what_it_holds(name, case, whole, tmp_path, record_property):
    folder = tmp_path / "fuzz"
    shutil.copytree(whole, folder)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([*MODULES])
    process = server.Process(target=batch, args=(name, case, FILES, folder))
    process.start()
    process.join(FILES * SECONDS)
    if process.is_alive():
        process.kill()
        process.join(SECONDS)
    fault = folder / "fault.txt"
    told = fault.read_text() if fault.exists() else f"the file is kept as {folder / READERS[name].place}"
    assert process.exitcode == 0, told
    result = json.loads((folder / "result.json").read_text())
    record_property("result", result)
    assert result["tried"] == result.get("read", 0) + result.get("refused", 0) >= FILES
    assert result["more_mib"] < MAX_MIB, result
    shutil.rmtree(folder)
