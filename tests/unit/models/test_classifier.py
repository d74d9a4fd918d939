"""The classifier file: it is complete, has the same bytes each time, and wrong files give clear errors."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nayer.core.errors import InputError
from nayer.core.tensors import METADATA_KEY, load_tensors, save_tensors
from nayer.models.classifier import Classifier


@pytest.fixture
def path(tmp_path, teacher):
    teacher.provenance = {"stage": "teacher", "seed": 1}
    teacher.save(tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_a_file_is_a_usable_model(path, teacher):
    loaded = Classifier.load(path)
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(loaded(images), teacher(images))
    assert (loaded.class_names, loaded.images) == (teacher.class_names, teacher.images)
    assert loaded.provenance == {"stage": "teacher", "seed": 1}
    assert not loaded.training


def test_layers_that_share_their_weights_are_kept_and_still_share_them(tmp_path):
    def network() -> nn.Sequential:
        layer = nn.Linear(8, 8)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), layer, nn.ReLU(), layer, nn.Linear(8, 3))

    made = network()
    save_tensors(tmp_path / "tied.safetensors", made.state_dict(), "weights", {})
    again = network()
    again.load_state_dict(load_tensors(tmp_path / "tied.safetensors", "weights")[0])
    assert again[2].weight is again[4].weight
    assert torch.equal(again[2].weight, made[2].weight)


def test_equal_weights_give_equal_bytes(path, tmp_path):
    for _ in range(3):
        Classifier.load(path).save(tmp_path / "b.safetensors")
        assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_normalisation_is_inside(teacher):
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(teacher(images), teacher.network((images - 0.3) / 0.4))


def test_a_cut_file_is_called_damaged(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.safetensors' is damaged"):
        Classifier.load(path)


def test_a_file_of_others_is_called_foreign(path):
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="a foreign file"):
        Classifier.load(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="does not exist: run the pipeline"):
        Classifier.load(tmp_path / "none.safetensors")


def test_weights_that_do_not_fit_the_description_are_told(path, teacher):
    description = {
        "kind": "classifier",
        "architecture": "wrn-16-1",
        "class_names": list(teacher.class_names),
        "images": {"size": 8, "channels": 1, "mean": [0.3], "std": [0.4]},
        "provenance": {},
    }
    save_file(load_file(path), path, metadata={METADATA_KEY: json.dumps(description)})
    with pytest.raises(InputError, match="does not fit its own description"):
        Classifier.load(path)
