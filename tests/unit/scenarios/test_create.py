"""A scenario for a user's own teacher: its files are complete, or there are none."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import yaml
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.datasets.labels import DIGITS
from nayer.engine.progress import NullReporter
from nayer.models.architectures import build_network
from nayer.models.classifier import Classifier
from nayer.scenarios.create import SOURCES, create, distillation
from nayer.scenarios.options import TeacherOptions, preset_or_values
from nayer.synthesis.registry import METHODS

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    torch.save(build_network("wrn-10-1", 1, 3).state_dict(), tmp_path / "teacher.pth")
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    for name in ("ant", "bee", "cat"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "1.png").touch()
    (tmp_path / "twice.txt").write_text("ant\nbee\nant\n")
    sly = Classifier.build("wrn-10-1", ("ant", "bee", "cat"), ImageSpec(28, 1, (0.3,), (0.4,)))
    sly.architecture = "os:abort"
    sly.save(tmp_path / "sly.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


NAMES = ("ant", "bee", "cat")
BARE = 'transformers:convnext{"depths":[1,1],"hidden_sizes":[6,12],"image_size":28,"num_stages":2,"patch_size":2}'
OPTIONS = TeacherOptions("teacher.pth", "wrn-10-1", "names.txt", 28, "0.286/0.353")


def test_the_new_scenario_says_all_that_is_known(project):
    teacher = create(project, "mine", replace(OPTIONS, student="wrn-16-1", test_data="pictures"), NullReporter())
    assert teacher.class_names == ("ant", "bee", "cat")
    files = {file.name: yaml.safe_load(file.read_text()) for file in (project / "conf" / "mine").glob("*.yml")}
    assert files["globals.yml"] == {"scenario": "mine"}
    data = files["parameters_data.yml"]["data"]
    assert data["class_names"] == "conf/mine/class_names.txt"
    assert (project / data["class_names"]).read_text() == "ant\nbee\ncat\n"
    assert (data["dataset"], data["folder"], data["channels"]) == ("test_folder", "pictures", 1)
    assert files["parameters_teacher.yml"]["teacher"]["normalisation"] == {"mean": [0.286], "std": [0.353]}
    assert files["parameters_distill.yml"]["distill"]["student"]["architecture"] == "wrn-16-1"
    assert files["parameters_evaluate.yml"] == {"evaluate": {}}


@pytest.mark.parametrize(
    ("test_data", "crop", "told"),
    [
        (
            "pictures",
            0.5,
            "The teacher sees the middle 0.5 of a picture's shorter side (CROP), also in testing (data.crop).",
        ),
        ("none", None, None),
    ],
)
def test_test_pictures_are_cut_as_the_teacher_knows_them(test_data, crop, told, project):
    listener = Listener()
    create(project, "mine", replace(OPTIONS, test_data=test_data, crop=crop), listener)
    data = yaml.safe_load((project / "conf" / "mine" / "parameters_data.yml").read_text())["data"]
    assert data.get("crop") == crop
    assert [said for said in listener.said if "shorter side" in said] == ([told] if told else [])


def test_a_scenario_that_leaves_its_distillation_to_the_base_can_be_taken_over(project):
    (project / "conf" / "bare").mkdir()
    (project / "conf" / "bare" / "parameters_distill.yml").write_text("distill: {}")
    values = distillation(
        project,
        replace(OPTIONS, like="bare", student="wrn-16-1"),
        Classifier.build("wrn-16-1", NAMES, ImageSpec(28, 1, (0.3,), (0.4,))),
    )
    assert values == {"synthesis": {}, "student": {"architecture": "wrn-16-1"}}


@pytest.mark.parametrize(
    ("names", "some"), [("ant bee Ant", "'ant' and 'Ant' are the same"), ("😀 😃 😄", "'😀' and '😃', and so all 3")]
)
def test_names_that_the_encoder_cannot_tell_apart_are_warned_of_while_they_can_be_changed(names, some, project):
    (project / "names.txt").write_text(names.replace(" ", "\n"))
    create(project, "mine", OPTIONS, listener := Listener())
    assert any(each.startswith(f"Warning: data.class_names: {some}") for each in listener.said)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_keeps_its_published_settings_and_fits_the_schedule_that_is_taken_over(method, project):
    create(project, "mine", replace(OPTIONS, method=method), NullReporter())
    distill = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    synthesis = METHODS[method].Config.model_validate(distill["synthesis"])
    published = {name: field.default for name, field in METHODS[method].Config.model_fields.items()}
    of_scenario = {"method", "batch_size", "batches", "warmup_batches", "generator_width"}
    changed = {name for name, value in synthesis if value != published[name]}
    assert changed <= of_scenario | ({"steps"} if method == "nayer" else set())
    if turn := METHODS[method].alternates:
        assert synthesis.steps == 1
        assert distill["student"]["steps"] == turn * synthesis.batches
    else:
        assert synthesis.batches == 2


class Listener(NullReporter):
    """Keeps all messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("method", [None, "fast_dfkd", "deep_inversion", "adi", "dafl", "dfq"])
def test_a_teacher_without_batchnorm_gets_by_itself_what_helps_it(method, project):
    Classifier.build(BARE, NAMES, ImageSpec(28, 3, (0.3,) * 3, (0.4,) * 3)).save(project / "bare.safetensors")
    listener = Listener()
    create(project, "mine", TeacherOptions("bare.safetensors", method=method), listener)
    distill = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert distill["synthesis"]["bn_weight"] == 0
    assert distill["student"]["architecture"] == BARE.replace("[6,12]", "[3,6]")
    assert (distill["student"]["start"], distill["student"]["feature_weight"]) == ("reconstructed", 3.0)
    keeps = METHODS[method or "nayer"].keeps_memory
    beside = ", and procedural pictures are added (distill.leaves)" if keeps else ""
    assert f"The teacher has no BatchNorm2d, so distill.synthesis.bn_weight is 0{beside}." in listener.said
    assert distill.get("leaves", 0) == (3 * distill["synthesis"]["batch_size"] if keeps else 0)


@pytest.mark.parametrize(
    "said", [{"like": "digits"}, {"student": "wrn-16-1"}, {"like": "digits", "student": "wrn-10-1"}]
)
def test_an_owner_who_chooses_for_a_teacher_without_batchnorm_is_told_of_what_helps(said, project):
    Classifier.build(BARE, NAMES, ImageSpec(28, 3, (0.3,) * 3, (0.4,) * 3)).save(project / "bare.safetensors")
    create(project, "mine", TeacherOptions("bare.safetensors", **said), listener := Listener())
    distill = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert "leaves" not in distill
    assert "start" not in distill["student"]
    without = " and ".join(name.upper() for name in said)
    assert any(f"expect a weaker student; omit {without} for what helps" in each for each in listener.said)


GROUPED = """
from torch import nn

def net(num_classes, in_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(2, 16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes),
    )
"""


def test_a_teacher_of_groupnorm_gets_half_of_itself_too(project, monkeypatch):
    (project / "grouped.py").write_text(GROUPED)
    monkeypatch.syspath_prepend(project)
    torch.save(build_network("grouped:net", 3, 3).state_dict(), project / "grouped.pth")
    options = TeacherOptions("grouped.pth", "grouped:net", "names.txt", 28, "0.3,0.3,0.3/0.4,0.4,0.4")
    create(project, "mine", options, listener := Listener())
    distill = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert (distill["student"]["architecture"], distill["student"]["start"]) == ("half:grouped:net", "reconstructed")
    assert any(
        each.startswith("The teacher has no BatchNorm2d, so distill.synthesis.bn_weight is 0") for each in listener.said
    )


@pytest.mark.parametrize(("student", "weaker"), [(None, False), ("wrn-10-1", True)])
def test_a_student_made_of_a_teacher_without_batchnorm_is_not_called_weaker(student, weaker, project, monkeypatch):
    monkeypatch.setattr("nayer.scenarios.create.fill", lambda *_: ({"synthesis": {}, "student": {}}, {}))
    Classifier.build(BARE, NAMES, ImageSpec(28, 1, (0.3,), (0.4,))).save(project / "bare.safetensors")
    create(project, "mine", TeacherOptions("bare.safetensors", student=student, minutes=5), listener := Listener())
    assert any("expect a weaker student" in each for each in listener.said) == weaker


def with_names(*names: str) -> TeacherOptions:
    """Options for a teacher of digits whose file gives its classes these names."""
    Classifier.build("wrn-10-1", names, ImageSpec(8, 1, (0.3,), (0.4,))).save(Path("digits.safetensors"))
    return TeacherOptions("digits.safetensors", test_data="digits")


def test_a_teacher_with_the_data_sets_names_in_another_order_keeps_its_order_and_nothing_is_said(project):
    create(project, "mine", with_names(*reversed(DIGITS)), listener := Listener())
    assert (project / "conf/mine/class_names.txt").read_text().split() == [*reversed(DIGITS)]
    assert not any("classes" in each for each in listener.said)


def test_other_words_of_the_owner_and_such_of_the_teacher_as_are_in_order_are_said_to_be_taken_so(project):
    expected = f"The teacher's classes are taken to be in the order of 'digits': {', '.join(DIGITS)}."
    create(project, "partly", with_names("naught", *DIGITS[1:]), listener := Listener())
    assert expected in listener.said
    (project / "words.txt").write_text("".join(f"digit {number}\n" for number in range(10)))
    options = replace(with_names(*(f"thing {number}" for number in range(10))), class_names="words.txt")
    create(project, "said", options, listener := Listener())
    assert expected in listener.said


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (tuple("abcdefghij"), "CLASS_NAMES: 'digits.safetensors' calls its classes a, b, .*, none of them in"),
        (("naught", "two", "one", *DIGITS[3:]), "data.class_names: 'two' is class 1 .from 0., but class 2 of 'digits'"),
        (DIGITS[:3], "data.class_names: 3 names given, 'digits' has 10 classes"),
    ],
)
def test_a_teacher_whose_names_do_not_tell_its_order_is_refused_and_nothing_is_written(names, words, project):
    with pytest.raises(InputError, match=words):
        create(project, "mine", with_names(*names), NullReporter())
    assert not (project / "conf/mine").exists()


def test_a_folder_without_names_takes_those_of_a_known_data_set_and_is_asked_for_them_without(project):
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=8, patch_size=4,
        num_channels=1, num_labels=10,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained("bare")
    ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5]).save_pretrained("bare")
    with pytest.raises(InputError, match="^CLASS_NAMES: is missing, and 'transformers:bare' does not say; give it"):
        create(project, "mine", TeacherOptions("transformers:bare"), NullReporter())
    create(project, "mine", TeacherOptions("transformers:bare", test_data="digits"), listener := Listener())
    assert (project / "conf/mine/class_names.txt").read_text().split() == [*DIGITS]
    taken = f"The teacher names no classes, so those of 'digits' are taken, in its order: {', '.join(DIGITS)}."
    assert taken in listener.said


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("My scenario", {}, "NAME: 'My scenario'"),
        ("../escape", {}, "NAME: '../escape'"),
        ("digits", {}, "NAME: the scenario 'digits' exists"),
        ("mine", {"teacher": "absent.pth"}, "TEACHER: 'absent.pth' is not a file"),
        ("mine", {"architecture": "wrn-16-1"}, "lacks"),
        ("mine", {"normalisation": "0.3/x"}, "NORMALISATION: '0.3/x'"),
        ("mine", {"image_size": -3}, "IMAGE_SIZE: -3 is refused"),
        ("mine", {"normalisation": "0.3/0"}, "std.0: 0.0 is refused"),
        ("mine", {"architecture": None}, "ARCHITECTURE: is missing"),
        ("mine", {"class_names": None}, "CLASS_NAMES: is missing"),
        ("mine", {"test_data": "absent"}, "data.folder: 'absent' holds no class folders"),
        ("mine", {"teacher": "torchvision:resnet"}, "TEACHER: unknown value 'resnet'"),
        ("mine", {"teacher": "models:/absent/1"}, "teacher.weights: 'models:/absent/1' cannot be fetched"),
        ("mine", {"student": "resnet18"}, "distill.student.architecture: unknown value 'resnet18'"),
        ("mine", {"image_size": 30}, "image_size: 30"),
        ("mine", {"class_names": "twice.txt"}, "data.class_names: .*ant"),
        ("mine", {"normalisation": "nan/1"}, "mean.0: nan is refused"),
        ("mine", {"teacher": "sly.safetensors", "architecture": None}, "names the code 'os:abort'"),
        ("mine", {"method": "gan"}, "METHOD: unknown value 'gan'"),
        ("mine", {"crop": 1.2}, "CROP: 1.2 is refused; give the share of a picture's shorter side"),
        ("mine", {"like": "nothing"}, "LIKE: there is no scenario 'nothing'"),
        ("mine", {"minutes": 2.0}, "MINUTES: 2 is refused"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(name, changes, words, project):
    before = sorted((project / "conf").rglob("*"))
    with pytest.raises(InputError, match=words):
        create(project, name, replace(OPTIONS, **changes), NullReporter())
    assert sorted((project / "conf").rglob("*")) == before


def test_only_a_failed_write_is_called_one(project, monkeypatch):
    def fail(*_):
        raise FileNotFoundError(2, "No such file or directory", "elsewhere")

    monkeypatch.setattr("nayer.scenarios.create.fill", fail)
    with pytest.raises(FileNotFoundError):
        create(project, "mine", replace(OPTIONS, minutes=5), NullReporter())
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(InputError, match=r"^NAME: '.*mine' could not be written \(No such file or directory\); make"):
        create(project, "mine", OPTIONS, NullReporter())
    assert not [*(project / "conf").glob("mine*")]


def test_a_preset_of_one_channel_makes_grey_test_pictures(project):
    create(project, "mine", replace(OPTIONS, normalisation="fashion_mnist", test_data="pictures"), NullReporter())
    assert yaml.safe_load((project / "conf/mine/parameters_data.yml").read_text())["data"]["channels"] == 1


def test_a_classifier_of_this_project_tells_all_that_is_asked(project):
    Classifier.build("wrn-10-1", ("ant", "bee", "cat"), ImageSpec(8, 1, (0.3,), (0.4,))).save(
        project / "own.safetensors"
    )
    teacher = create(project, "mine", TeacherOptions("own.safetensors"), NullReporter())
    assert (teacher.architecture, teacher.images) == ("wrn-10-1", ImageSpec(8, 1, (0.3,), (0.4,)))


def test_published_weights_tell_all_that_is_asked_and_what_is_said_goes_first(project, monkeypatch):
    network = build_network("torchvision:resnet18", 3, 1000)
    monkeypatch.setitem(SOURCES, "torchvision", replace(SOURCES["torchvision"], read=lambda _: network.state_dict()))
    teacher = create(project, "mine", TeacherOptions("torchvision:resnet18", image_size=64), NullReporter())
    assert teacher.images == ImageSpec(64, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert len((project / "conf/mine/class_names.txt").read_text().splitlines()) == 1000
    said = yaml.safe_load((project / "conf/mine/parameters_teacher.yml").read_text())["teacher"]
    assert (said["source"], said["weights"]) == ("torchvision", "ResNet18_Weights.IMAGENET1K_V1")
    assert said["architecture"] == "torchvision:resnet18"


def test_a_vit_of_timm_may_have_been_trained_on_small_images_and_teach_a_swin(project):
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=1, num_classes=3)
    torch.save(theirs.state_dict(), "vit.pth")
    vit = 'timm:vit_tiny_patch16_224{"depth":1,"patch_size":8}'
    swin = 'timm:swin_tiny_patch4_window7_224{"depths":[1,1],"embed_dim":12,"num_heads":[1,2]}'
    options = TeacherOptions("vit.pth", vit, "names.txt", 32, "half", student=swin, like="cifar10")
    teacher = create(project, "mine", options, NullReporter())
    assert torch.equal(teacher.network.state_dict()["pos_embed"], theirs.state_dict()["pos_embed"])
    distill = yaml.safe_load((project / "conf/mine/parameters_distill.yml").read_text())["distill"]
    assert distill["student"]["architecture"] == swin
    with pytest.raises(InputError, match=r"pos_embed is \(1, 17, 192\), .*; set data.image_size and teacher.archit"):
        create(project, "other", replace(options, image_size=64), NullReporter())


def test_normalisation_by_name_or_by_value():
    assert preset_or_values("imagenet") == "imagenet"
    assert preset_or_values("0.5,0.4/0.2,0.1") == {"mean": [0.5, 0.4], "std": [0.2, 0.1]}
