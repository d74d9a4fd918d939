"""Teachers that timm saved: a folder holds all that is needed, and no code of it is run."""

import json
import shutil

import pytest
import timm
import torch
from timm.models import save_for_hf
from transformers import AutoModelForImageClassification, TimmWrapperConfig

from nayer.core.errors import InputError
from nayer.teachers.sources import SOURCES, describe
from nayer.teachers.timm import read

NAMES = ["ant", "bee", "cat"]
VIT = {"patch_size": 4, "depth": 2, "img_size": 16}


def saved(folder, architecture="resnet18", said=None, data=None, **options):
    """Save a network with fresh weights and its own running statistics, as its owner would; returns it."""
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=len(NAMES), **options)
    for name, each in network.named_buffers():
        if name.endswith("running_mean"):
            each.uniform_(-0.1, 0.1)
    said = {"label_names": NAMES} if said is None else said
    save_for_hf(network, folder, model_config=said, data_config=data, safe_serialization=True)
    return network.eval()


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """The folder of a ResNet of grey images, and the network."""
    folder = tmp_path_factory.mktemp("resnet")
    return folder, saved(folder, in_chans=1, data={"input_size": (1, 32, 32), "mean": (0.4,), "std": (0.3,)})


@pytest.fixture
def folder(resnet, tmp_path):
    """A copy of a teacher's folder that a test may change."""
    return shutil.copytree(resnet[0], tmp_path / "teacher")


def changed(folder, **values) -> None:
    """Change values in the configuration; a mapping is merged into the one that is there."""
    said = json.loads((folder / "config.json").read_text())
    for key, value in values.items():
        old = said.get(key)
        said[key] = {**old, **value} if isinstance(value, dict) and isinstance(old, dict) else value
    (folder / "config.json").write_text(json.dumps(said))


def check_logits(made, folder, network, size, channels):
    """Check that the teacher made from a folder answers like the network saved there."""
    classifier, about = made
    assert (about.image_size, about.class_names, about.weights) == (size, tuple(NAMES), str(folder))
    images = torch.rand(4, channels, size, size)
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (about.mean, about.std))
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), network((images - mean) / std))


def test_a_folder_says_everything_and_gives_the_logits_of_its_own_library(resnet, as_described):
    folder, network = resnet
    made = as_described(f"timm:{folder}")
    check_logits(made, folder, network, 32, 1)
    about = made[1]
    assert (about.architecture, about.mean, about.std) == ("timm:resnet18", (0.4,), (0.3,))
    assert about.crop == 0.95


def test_a_network_of_other_sizes_is_made_with_them_and_for_its_images(tmp_path, as_described):
    network = saved(tmp_path, "vit_tiny_patch16_224", **VIT)
    made = as_described(f"timm:{tmp_path}")
    check_logits(made, tmp_path, network, 16, 3)
    assert made[1].architecture == 'timm:vit_tiny_patch16_224{"depth":2,"patch_size":4}'


def test_a_network_of_timm_that_transformers_saved_is_taken_as_timm(tmp_path, as_described):
    config = TimmWrapperConfig(architecture="resnet18", id2label=dict(enumerate(NAMES)))
    config.pretrained_cfg = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3}
    model = AutoModelForImageClassification.from_config(config).eval()
    model.save_pretrained(tmp_path)
    made = as_described(f"timm:{tmp_path}")
    check_logits(made, tmp_path, lambda images: model(pixel_values=images).logits, 32, 3)
    with pytest.raises(InputError, match=r"is for a timm network; give the same folder or id with timm:"):
        describe(f"transformers:{tmp_path}", SOURCES)


def test_a_folder_of_timm_is_not_one_of_transformers(resnet):
    with pytest.raises(InputError, match=r"is for a timm network; give the same folder or id with timm:"):
        describe(f"transformers:{resnet[0]}", SOURCES)


def test_classes_are_called_by_their_words(tmp_path):
    said = {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "tench, Tinca tinca", "n3": "hen"}}
    saved(tmp_path, said=said)
    assert describe(f"timm:{tmp_path}", SOURCES)[1].class_names == ("tench, Tinca tinca", "n2", "hen")
    changed(tmp_path, label_names={"2": "n3", "0": "b", "1": "a"})
    assert describe(f"timm:{tmp_path}", SOURCES)[1].class_names == ("b", "a", "hen")


def test_what_nobody_said_is_left_to_the_owner(folder):
    said = json.loads((folder / "config.json").read_text())
    del said["label_names"], said["pretrained_cfg"]["std"]
    (folder / "config.json").write_text(json.dumps(said))
    changed(folder, pretrained_cfg={"mean": [0.1, 0.2, 0.3]})
    about = describe(f"timm:{folder}", SOURCES)[1]
    assert (about.class_names, about.mean, about.std) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pretrained_cfg": None}, "does not name a timm network; give a folder from timm.models.save_for_hf"),
        ({"architecture": "resnet188"}, "Did you mean 'timm:resnet18"),
        ({"architecture": "hf-hub:somebody/model"}, "unknown value"),
        ({"architecture": 'resnet18{"depth":3}'}, "unknown value|in braces|cannot be built"),
        ({"pretrained_cfg": {"custom_load": True}}, r"in a custom format \(custom_load\)"),
        ({"pretrained_cfg": {"input_size": [1, 32, 24]}}, r"takes images of \[1, 32, 24\], but only square ones"),
        ({"pretrained_cfg": {"input_size": [1, 9000, 9000]}}, "at most 1,024 pixels a side"),
        ({"pretrained_cfg": {"input_size": 7}}, "cannot be understood"),
        ({"pretrained_cfg": {"std": [0.0]}}, r"divides by \(0.0,\); give NORMALISATION"),
        ({"model_args": {"in_chans": 4}}, r"takes images of \[4, 32, 32\]"),
        ({"model_args": {"block_args": {}}}, r"makes its network with block_args = \{\} \(model_args\)"),
        ({"model_args": {"depth": 10**9}}, "depth = 1,000,000,000, more than"),
        ({"model_args": {"global_pool": "max"}}, r"pools by 'max' \(global_pool\), but 'timm:resnet18' by 'avg' here"),
        ({"label_names": ["ant", "bee"]}, "has 2 class names, but num_classes is 3"),
        ({"label_names": ["ant", "be\ne", "cat"]}, "label_names of .* must number classes from 0,"),
        ({"label_names": {"0": "ant", "2": "bee", "3": "cat"}}, "label_names of .* must number classes from 0,"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_a_sentence(folder, values, words):
    changed(folder, **values)
    with pytest.raises(InputError, match=rf"^TEACHER: .*({words})"):
        describe(f"timm:{folder}", SOURCES)


def test_weights_that_are_missing_or_code_are_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"^teacher.weights: '.*model.safetensors' does not exist"):
        read(str(folder))
    torch.save({"state_dict": json.dumps}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds more than weights"):
        read(str(folder))


def test_a_folder_that_does_not_exist_is_no_id_on_the_hub():
    with pytest.raises(InputError, match=r"^TEACHER: 'timm:\./nowhere' is not a folder; give one with config.json, or"):
        describe("timm:./nowhere", SOURCES)


def test_an_id_on_the_hub_keeps_its_commit(resnet, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder, asked = shutil.copytree(resnet[0], tmp_path / commit), []

    def snapshot(model, files, revision):
        asked.append((model, revision))
        return folder

    monkeypatch.setattr("nayer.teachers.folders.snapshot", snapshot)
    about = describe("timm:owner/mine", SOURCES)[1]
    assert about.weights == f"owner/mine@{commit}"
    assert torch.equal(read(about.weights)["conv1.weight"], resnet[1].conv1.weight)
    assert asked == [("owner/mine", None), ("owner/mine", commit)]
