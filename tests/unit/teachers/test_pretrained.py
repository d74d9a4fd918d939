"""A teacher that was trained elsewhere becomes a classifier; missing or unfitting settings are asked for."""

from pathlib import Path

import pytest
import torch

from nayer.core.errors import InputError
from nayer.datasets.config import DataConfig
from nayer.models.architectures import build_network, trust
from nayer.models.classifier import Classifier
from nayer.teachers.config import TeacherConfig
from nayer.teachers.pretrained import load_pretrained

DATA = DataConfig(dataset="none", folder="", image_size=8, channels=None, class_names=["ant", "bee", "cat"])
FACTORY = """
import torch
from torch import nn

def plain(num_classes):
    body = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*body, nn.Linear(4, num_classes))

def soft(num_classes):
    return plain(num_classes).append(nn.Softmax(1))

def lazy(num_classes):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(num_classes))

def shown_an_image(num_classes):
    network = lazy(num_classes).eval()
    network(torch.zeros(1, 1, 8, 8))
    return network

def broken():
    raise RuntimeError("no weights for me")

def number():
    return 3
"""


@pytest.fixture
def config(read_parameters, tmp_path):
    """Builds the configuration of a teacher in a file; keyword arguments change it."""

    def build(**said) -> TeacherConfig:
        values = {"source": "file", "weights": str(tmp_path / "teacher.pth"), "architecture": "wrn-10-1"}
        normalisation = {"mean": [0.3], "std": [0.4]}
        base = read_parameters("digits", "teacher")
        return TeacherConfig.model_validate({**base, **values, "normalisation": normalisation, **said})

    return build


@pytest.fixture
def saved(tmp_path) -> torch.nn.Module:
    torch.manual_seed(3)
    network = build_network("wrn-10-1", 1, 3)
    wrapped = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "teacher.pth", _use_new_zipfile_serialization=False)
    return network.eval()


def test_an_old_checkpoint_of_a_parallel_model_gives_the_same_logits(saved, config, tmp_path):
    teacher = load_pretrained(config(), DATA)
    images = torch.rand(4, 1, 8, 8)
    assert torch.allclose(teacher(images), saved((images - 0.3) / 0.4))
    assert not teacher.training
    assert teacher.class_names == ("ant", "bee", "cat")
    assert len(teacher.provenance["file_sha256"]) == 64
    assert str(tmp_path) not in str(teacher.provenance), "where a file lay on one machine helps nobody else"


def test_class_names_may_lie_in_a_text_file(saved, config, tmp_path):
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n\n")
    data = DATA.model_copy(update={"class_names": str(tmp_path / "names.txt")})
    assert load_pretrained(config(), data).class_names == ("ant", "bee", "cat")
    with pytest.raises(InputError, match="data.class_names: .*missing.txt"):
        load_pretrained(config(), DATA.model_copy(update={"class_names": "missing.txt"}))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"weights": None}, "teacher.weights: null"),
        ({"normalisation": None}, "teacher.normalisation: null"),
        ({"normalisation": "cifar11"}, "teacher.normalisation: .*Did you mean 'cifar10'"),
        ({"normalisation": {"mean": [0.1, 0.2], "std": [0.3]}}, "2 values of mean and 1 of std"),
        ({"normalisation": "imagenet"}, "images of 1 channels"),
        ({"architecture": "wrn-16-1"}, "lacks"),
    ],
)
def test_what_is_not_said_or_wrong_is_named(said, words, saved, config):
    with pytest.raises(InputError, match=words):
        load_pretrained(config(**said), DATA)


def test_without_names_or_data_the_names_are_asked_for(saved, config):
    with pytest.raises(InputError, match="data.class_names: null"):
        load_pretrained(config(), DATA.model_copy(update={"class_names": None}))


@pytest.fixture
def own_module(tmp_path, monkeypatch) -> Path:
    (tmp_path / "my_networks.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_network_of_ones_own_is_built_by_its_factory_and_travels_in_the_classifier_file(own_module, config):
    network = build_network("my_networks:plain", 1, 3)
    torch.save(network.state_dict(), own_module / "teacher.pth")
    teacher = load_pretrained(config(architecture="my_networks:plain"), DATA)
    teacher.save(own_module / "teacher.safetensors")
    trust("my_networks:plain")
    again = Classifier.load(own_module / "teacher.safetensors")
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(again(images), teacher(images))


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("my_networks:broken", "RuntimeError: no weights for me"),
        ("my_networks:absent", "gave no network"),
        ("no_such_module:plain", "gave no network"),
        ("my_networks:number", "gave a int"),
        (
            "my_networks:lazy",
            "has a layer without sizes, LazyLinear '3', .* give it its sizes, .* pass an image",
        ),
    ],
)
def test_a_factory_that_gives_no_network_is_named(architecture, words, own_module, saved, config):
    with pytest.raises(InputError, match=f"teacher.architecture: '{architecture}' .*{words}"):
        load_pretrained(config(architecture=architecture), DATA)


def test_lazy_layers_that_were_shown_an_image_are_loaded_as_others_are(own_module, config):
    network = build_network("my_networks:shown_an_image", 1, 3)
    torch.save(network.state_dict(), own_module / "teacher.pth")
    teacher = load_pretrained(config(architecture="my_networks:shown_an_image"), DATA)
    assert torch.equal(teacher.network[3].weight, network[3].weight)


def test_a_teacher_that_ends_in_softmax_is_refused_as_its_student_would_learn_little(own_module, config):
    torch.save(build_network("my_networks:soft", 1, 3).state_dict(), own_module / "teacher.pth")
    with pytest.raises(InputError, match=r"teacher\.architecture: .* probabilities, not logits; leave out its final"):
        load_pretrained(config(architecture="my_networks:soft"), DATA)
    without = load_pretrained(config(architecture="my_networks:plain"), DATA)
    assert without(torch.rand(2, 1, 8, 8)).shape == (2, 3)
