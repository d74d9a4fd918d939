"""Teachers of transformers: a folder of save_pretrained holds all that is needed, and no code of it is run."""

import json
import logging
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers
from transformers import (
    AutoModelForImageClassification,
    CLIPImageProcessor,
    ConvNextImageProcessor,
    EfficientNetImageProcessor,
    ResNetConfig,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from nayer.core.errors import InputError
from nayer.teachers.sources import SOURCES, describe
from nayer.teachers.transformers import crop_of, read

NAMES = {0: "ant", 1: "bee", 2: "cat"}
VIT = ViTConfig(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    image_size=16,
    patch_size=4,
    id2label=NAMES,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a ViT and its processor, as a user would save them, and the network."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    model = AutoModelForImageClassification.from_config(VIT).eval()
    model.save_pretrained(folder)
    ViTImageProcessor(
        size={"height": 16, "width": 16}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.2, 0.3]
    ).save_pretrained(folder)
    return folder, model


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of a teacher's folder that a test may change."""
    return shutil.copytree(saved[0], tmp_path / "teacher")


def changed(folder, name: str, **values) -> None:
    file = folder / name
    said = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**said, **values}))


def test_a_folder_says_everything_and_gives_the_logits_of_its_own_library(saved, as_described):
    folder, model = saved
    classifier, about = as_described(f"transformers:{folder}")
    assert (about.class_names, about.image_size, about.weights) == (("ant", "bee", "cat"), 16, str(folder))
    assert (about.mean, about.std) == ((0.4, 0.5, 0.6), (0.2, 0.2, 0.3))
    images = torch.rand(4, 3, 16, 16)
    normalised = (images - torch.tensor(about.mean).view(3, 1, 1)) / torch.tensor(about.std).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), model(pixel_values=normalised).logits)


def test_weights_in_several_files_are_put_together(saved, tmp_path):
    saved[1].save_pretrained(tmp_path, max_shard_size="10KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    whole, parts = read(str(saved[0])), read(str(tmp_path))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_processor_that_crops_gives_the_size_after_it(folder):
    changed(folder, "preprocessor_config.json", do_center_crop=True, crop_size={"height": 12, "width": 12})
    assert describe(f"transformers:{folder}", SOURCES)[1].image_size == 12


def test_the_side_of_a_shortest_edge_and_one_value_for_all_channels(tmp_path):
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=NAMES)
    AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path)
    ConvNextImageProcessor(size={"shortest_edge": 32}, image_mean=0.5, image_std=0.25).save_pretrained(tmp_path)
    about = describe(f"transformers:{tmp_path}", SOURCES)[1]
    assert (about.image_size, about.mean, about.std) == (32, (0.5,) * 3, (0.25,) * 3)


def test_numbers_that_stand_for_names_are_none(folder):
    changed(folder, "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    assert describe(f"transformers:{folder}", SOURCES)[1].class_names is None
    changed(folder, "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "cat"})
    assert describe(f"transformers:{folder}", SOURCES)[1].class_names == ("LABEL_0", "LABEL_1", "cat")


def test_classes_of_one_name_are_told_apart_by_their_numbers(folder):
    changed(folder, "config.json", id2label={"0": "crane", "1": "ant", "2": "crane"})
    assert describe(f"transformers:{folder}", SOURCES)[1].class_names == ("crane 0", "ant", "crane 2")


def test_without_a_processor_the_owner_must_say_what_it_would(folder):
    (folder / "preprocessor_config.json").unlink()
    about = describe(f"transformers:{folder}", SOURCES)[1]
    assert (about.mean, about.std, about.image_size) == (None, None, 16)


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config"}}, r"asks for code of its own \(auto_map\)"),
        ("config.json", {"model_type": "bert"}, r"is of the kind 'bert', and transformers knows no image classifier"),
        ("config.json", {"model_type": "timm_wrapper"}, r"is for a timm network; give the same folder or id"),
        (
            "config.json",
            {"problem_type": "multi_label_classification"},
            r"says problem_type 'multi_label_classification', but a student learns one label per image",
        ),
        ("config.json", {"problem_type": "regression"}, r"says problem_type 'regression', but a student learns one"),
        ("config.json", {"hidden_size": 10**9}, r"hidden_size = 1,000,000,000, more than"),
        ("config.json", {"num_hidden_layers": 10**9}, r"num_hidden_layers = 1,000,000,000, more than"),
        ("preprocessor_config.json", {"size": {"height": 16, "width": 24}}, r"takes images of 16x24, but only square"),
        (
            "preprocessor_config.json",
            {"size": {"height": 9000, "width": 9000}},
            r"images of 9,000 pixels a side, but only 1",
        ),
        ("preprocessor_config.json", {"size": -16}, r"takes images of -16 pixels a side"),
        # Values for which the trial would take too much memory.
        ("config.json", {"num_channels": 4096}, r"takes images of 4,096 channels, but only 1 or 3 can be made"),
        (
            "preprocessor_config.json",
            {"do_center_crop": True, "crop_size": {"height": 16, "width": 16}, "size": {"shortest_edge": 60_000}},
            r"says shortest_edge = 60,000, but pictures may have at most 1,024",
        ),
        ("preprocessor_config.json", {"pad_size": {"height": 10**6, "width": 10**6}}, r"says height = 1,000,000, but"),
        ("preprocessor_config.json", {"crop_pct": 1e-5}, r"says size / crop_pct = 1,600,000, but pictures may have at"),
        ("config.json", {"depths": [300] * 8}, r"the configuration says depths = 1,200, more than 1,000"),
        ("config.json", {"block_configs": [[1] * 100] * 100}, r"the configuration holds over 4,096 numbers"),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "evil.P"}}, r"asks for code of its own"),
        ("preprocessor_config.json", {"do_flip_channel_order": True}, r"reorders colours to BGR"),
        ("preprocessor_config.json", {"rescale_factor": 1 / 127.5}, r"does not scale pixels to \[0, 1\]"),
        (
            "config.json",
            {"quantization_config": {"load_in_8bit": True}},
            r"are quantised \(quantization_config\)",
        ),
        ("config.json", {"id2label": {"0": "ant\x1b[31m", "1": "bee"}}, r"a name of one printable line, but has"),
        ("config.json", {"id2label": {"0": "ant", "5": "bee"}}, r"id2label of .* must number classes from 0,"),
        (
            "preprocessor_config.json",
            {"image_std": [0.2, 0, 0.2]},
            r"divides by \[0.2, 0.0, 0.2\], which is",
        ),
        ("preprocessor_config.json", {"image_mean": [0.1, float("nan"), 0]}, r"subtracts \[0.1, nan, 0.0\]"),
        ("preprocessor_config.json", {"image_mean": [0.1, 0.2]}, r"has 2 values of mean, the network 3 channels"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(folder, file, values, words):
    changed(folder, file, **values)
    with pytest.raises(InputError, match=f"^TEACHER: .*{words}"):
        describe(f"transformers:{folder}", SOURCES)


@pytest.mark.parametrize("twice", [False, True])
def test_a_processor_that_normalises_twice_is_found_out_by_trying_it(twice, folder):
    own = EfficientNetImageProcessor(
        size={"height": 16, "width": 16}, include_top=twice, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3]
    )
    own.save_pretrained(folder)
    about = describe(f"transformers:{folder}", SOURCES)[1]
    assert about.std == pytest.approx([0.04, 0.0625, 0.09] if twice else [0.2, 0.25, 0.3], abs=1e-5)
    picture = torch.randint(256, (3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (about.mean, about.std))
    wanted = own(images=picture.permute(1, 2, 0).numpy(), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close((picture / 255 - mean) / std, wanted, atol=1e-3, rtol=0)


def test_a_processor_that_gives_pictures_of_another_size_is_refused(folder):
    kind = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 16}}
    changed(folder, "preprocessor_config.json", **kind, do_center_crop=True)  # to 224 pixels, which its file leaves out
    with pytest.raises(InputError, match=r"^TEACHER: .* does more with pictures than scale them to 16x16"):
        describe(f"transformers:{folder}", SOURCES)


def test_a_processor_of_several_inputs_tells_that_of_images(folder):
    whole = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    changed(folder, "processor_config.json", image_processor=whole, processor_class="CLIPProcessor")
    about = describe(f"transformers:{folder}", SOURCES)[1]
    assert (about.mean, about.image_size, about.note) == ((0.4, 0.5, 0.6), 16, None)
    changed(folder, "preprocessor_config.json", **{**whole, "image_mean": [0.1, 0.1, 0.1]})
    assert describe(f"transformers:{folder}", SOURCES)[1].mean == (0.4, 0.5, 0.6), "as transformers has it"
    changed(folder, "processor_config.json", image_processor={**whole, "pad_size": {"height": 10**6, "width": 10**6}})
    with pytest.raises(InputError, match="says height = 1,000,000, but pictures may have at most 1,024"):
        describe(f"transformers:{folder}", SOURCES)
    changed(folder, "processor_config.json", auto_map={"AutoProcessor": "evil.P"})
    with pytest.raises(InputError, match="asks for code of its own"):
        describe(f"transformers:{folder}", SOURCES)


def test_a_crop_after_scaling_gives_the_size_and_the_share_that_is_shown(folder):
    own = CLIPImageProcessor(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16})
    own.save_pretrained(folder)
    about = describe(f"transformers:{folder}", SOURCES)[1]
    assert about.image_size == 16
    assert about.crop == 16 / 18


def test_a_size_that_nobody_said_is_asked_for(folder):
    """Neither the default of its kind nor a size to which the processor does not scale is this network's."""
    changed(folder, "preprocessor_config.json", do_resize=False, size={"height": 24, "width": 24})
    assert describe(f"transformers:{folder}", SOURCES)[1].image_size == 16
    said = json.loads((folder / "config.json").read_text())
    del said["image_size"]
    (folder / "config.json").write_text(json.dumps(said))
    assert describe(f"transformers:{folder}", SOURCES)[1].image_size is None


def test_a_processor_that_cuts_pictures_says_how_much_of_them_is_shown(folder):
    assert describe(f"transformers:{folder}", SOURCES)[1].crop == 1
    ConvNextImageProcessor(size={"shortest_edge": 16}, crop_pct=0.75).save_pretrained(folder)
    assert describe(f"transformers:{folder}", SOURCES)[1].crop == 0.75
    large = ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.75).to_dict()
    assert crop_of(large, 384) == 1, "it squeezes large ones"
    for said in (0, 2, "0.5", None):
        assert crop_of({"crop_pct": said}, 16) == 1, "no share"


def test_a_processor_that_cannot_be_tried_is_believed_and_said_so(folder):
    changed(folder, "preprocessor_config.json", image_processor_type="NoSuchProcessor", feature_extractor_type=None)
    about = describe(f"transformers:{folder}", SOURCES)[1]
    assert about.mean == (0.4, 0.5, 0.6)
    assert "The image processor could not be tried (" in about.note


def test_a_configuration_of_gigabytes_is_not_read(folder):
    with (folder / "config.json").open("w") as file:
        file.truncate(40 * 2**30)
    with pytest.raises(InputError, match=r"config.json' cannot be read \(more than 16,777,216 bytes\)"):
        describe(f"transformers:{folder}", SOURCES)


def test_a_file_that_is_no_json_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"^TEACHER: '.*config.json' cannot be read"):
        describe(f"transformers:{folder}", SOURCES)


def test_larger_claims_than_the_files_hold_are_refused_before_memory_is_taken(folder):
    changed(folder, "config.json", hidden_size=60_000, intermediate_size=60_000)
    with pytest.raises(InputError, match=r"^teacher.weights: .* claims [\d,]+ weights, but its files are [\d,]+ bytes"):
        read(str(folder))


def test_a_pickle_is_never_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"^teacher.weights: .*does not exist \(a pickle, such as .* is never read\)"):
        read(str(folder))


@pytest.mark.parametrize("place", ["../other.safetensors", "/etc/passwd", "weights.bin"])
def test_an_index_that_points_elsewhere_is_refused(folder, place):
    changed(folder, "model.safetensors.index.json", weight_map={"vit.weight": place})
    with pytest.raises(InputError, match=r"^teacher.weights: .*index.json' points to .* not to a file beside it"):
        read(str(folder))


def test_weights_that_are_missing_or_damaged_are_named(folder, saved):
    model = AutoModelForImageClassification.from_config(VIT)
    state = {name: value for name, value in model.state_dict().items() if name != "classifier.weight"}
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(InputError, match=r"^teacher.weights: .* lacks classifier.weight"):
        read(str(folder))
    (folder / "model.safetensors").write_bytes(b"\0" * 80_000)
    with pytest.raises(InputError, match=r"^teacher.weights: .* cannot be loaded \(.*\); copy or save it again"):
        read(str(folder))


def test_a_network_without_its_head_is_refused_in_one_sentence_and_transformers_says_nothing(folder, caplog):
    ViTModel(VIT).save_pretrained(folder)
    transformers.logging.set_verbosity_warning()
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        with pytest.raises(InputError, match=r"^teacher.weights: .* lacks classifier.bias, so it is"):
            read(str(folder))
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert caplog.messages == []
    assert transformers.logging.get_verbosity() == logging.WARNING


@pytest.fixture
def hub(saved, tmp_path, monkeypatch) -> Path:
    """The hub's cache with `owner/name`, whose `main` is the commit bbb... and whose tag `v1` is the older aaa..."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--owner--name"
    (model / "refs").mkdir(parents=True)
    for ref, commit in (("main", "b" * 40), ("v1", "a" * 40)):
        shutil.copytree(saved[0], model / "snapshots" / commit)
        (model / "refs" / ref).write_text(commit)
    AutoModelForImageClassification.from_config(VIT).save_pretrained(model / "snapshots" / ("b" * 40))
    return model


@pytest.mark.parametrize(
    ("name", "commit"),
    [("owner/name", "b"), ("owner/name@main", "b"), ("owner/name@v1", "a"), (f"owner/name@{'a' * 40}", "a")],
)
def test_a_teacher_of_the_hub_is_the_commit_that_was_described(name, commit, hub, saved):
    _, about = describe(f"transformers:{name}", SOURCES)
    assert about.weights == f"owner/name@{commit * 40}"
    for ref in (hub / "refs").iterdir():
        ref.write_text("c" * 40)  # the hub has moved on
    of_saved = all(torch.equal(value, saved[1].state_dict()[place[6:]]) for place, value in read(about.weights).items())
    assert of_saved == (commit == "a")


def test_a_revision_that_is_nowhere_is_refused_in_a_sentence(hub):
    with pytest.raises(InputError, match=r"^TEACHER: 'transformers:owner/name@v9' is not a folder here, and could not"):
        describe("transformers:owner/name@v9", SOURCES)


def test_neither_a_folder_nor_on_the_hub_is_one_sentence(monkeypatch):
    with pytest.raises(InputError, match=r"^TEACHER: 'transformers:./nowhere' is not a folder; give one with config"):
        describe("transformers:./nowhere", SOURCES)

    def refuse(*_: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("nayer.teachers.folders.snapshot", refuse)
    with pytest.raises(InputError, match=r"^TEACHER: 'transformers:owner/name' .* could not be fetched \(Network is"):
        describe("transformers:owner/name", SOURCES)
