"""Mistakes that can be known in advance are refused before any work, and leave nothing behind."""

import shutil
from collections import namedtuple

import pytest
import torch

from nayer.core.errors import InputError
from nayer.core.files import check_folders
from nayer.datasets.labels import DIGITS
from nayer.models.architectures import build_network
from nayer.workflow import preflight
from nayer.workflow.parameters import Parameters


@pytest.fixture
def parameters(read_parameters, runtime) -> dict:
    groups = {
        name: read_parameters("digits", name)
        for name in ("data", "lte", "teacher", "distill", "evaluate", "quantize", "promote")
    }
    return {**groups, "runtime": runtime.model_dump(), "scenario": "digits", "seed": 0}


ALL = ("lte", "teacher", "distill", "evaluate")


def check_parameters(parameters: dict, pipelines) -> None:
    preflight.check_parameters(Parameters.model_validate(parameters), pipelines)


def test_the_default_scenario_passes(parameters):
    check_parameters(parameters, ALL)


def test_an_architecture_too_deep_for_the_images_is_refused_before_the_teacher_trains(parameters):
    parameters["distill"]["student"]["architecture"] = "vgg-11-bn"
    with pytest.raises(InputError, match=r"distill\.student\.architecture: 'vgg-11-bn' needs images"):
        check_parameters(parameters, ALL)


def test_a_teacher_that_cannot_take_the_images_is_refused_before_it_trains(parameters):
    parameters["teacher"]["architecture"] = "timm:vgg11_bn"
    with pytest.raises(InputError, match=r"teacher\.architecture: the network fails on images of 1x8x8"):
        check_parameters(parameters, ["teacher", "distill"])


def test_only_what_will_run_is_checked(parameters):
    parameters["lte"]["encoder"] = "minilmm"
    check_parameters(parameters, ["distill"])
    with pytest.raises(InputError, match="minilm"):
        check_parameters(parameters, ["lte"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"processes": 3}, r"distill\.synthesis\.batch_size: 200 images cannot be divided among 3 processes"),
        ({"machines": 2}, r"runtime\.address: None, but 2 machines need the host:port"),
        ({"machines": 2, "address": "node1"}, r"runtime\.address: 'node1', but 2 machines"),
    ],
)
def test_processes_that_cannot_share_the_work_are_refused_where_they_would_do_it(parameters, settings, words):
    parameters["runtime"] |= settings
    check_parameters(parameters, ["lte", "teacher", "evaluate"])
    with pytest.raises(InputError, match=words):
        check_parameters(parameters, ALL)


def test_more_processes_than_accelerators_are_refused(parameters, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    parameters["runtime"] |= {"processes": 2, "device": "auto"}
    with pytest.raises(InputError, match=r"runtime\.processes: 2 are more than the 1 accelerators"):
        check_parameters(parameters, ALL)


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 2**20))
    with pytest.raises(InputError, match="has 1 MiB left"):
        check_folders([tmp_path / "a" / "b.json"])
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
        check_folders([tmp_path / "a" / "b.json"])


def test_checking_folders_makes_none(tmp_path):
    check_folders([tmp_path / "a" / "b.json"])
    assert list(tmp_path.iterdir()) == []


def test_test_images_of_other_channels_than_the_teachers_are_refused(parameters, tmp_path):
    torch.save(build_network("wrn-10-1", 3, 10).state_dict(), tmp_path / "teacher.pth")
    brought = {"source": "file", "weights": str(tmp_path / "teacher.pth"), "architecture": "wrn-10-1"}
    parameters["teacher"] |= {**brought, "normalisation": "half"}
    with pytest.raises(InputError, match=r"teacher.normalisation: it has 3 values, .*'digits' have 1 channels"):
        check_parameters(parameters, ALL)


def test_a_student_that_cannot_take_the_images_is_refused_before_the_teacher_trains(parameters):
    parameters["distill"]["student"]["architecture"] = "torchvision:resnet18"
    with pytest.raises(InputError, match=r"distill.student.architecture: .* takes images of 3 channels"):
        check_parameters(parameters, ALL)
    parameters["distill"]["student"]["architecture"] = "timm:vgg11_bn"
    with pytest.raises(InputError, match=r"distill.student.architecture: the network fails on images of 1x8x8"):
        check_parameters(parameters, ALL)
    parameters["distill"]["student"]["architecture"] = "timm:test_vit3"
    for chosen in (ALL, ["distill"]):
        with pytest.raises(InputError, match=r"distill.student.architecture: .* patches of 16 pixels .* 8 is not a"):
            check_parameters(parameters, chosen)


def test_a_student_that_cannot_start_from_its_teacher_is_refused_before_that_trains(parameters):
    parameters["distill"]["student"] |= {"architecture": "resnet-18", "start": "teacher"}
    with pytest.raises(InputError, match=r"distill.student.start: 'teacher' .* resnet-18 have no counterpart in wrn-"):
        check_parameters(parameters, ALL)


def test_images_that_calibrate_are_counted_by_the_names_in_a_file_too(parameters, tmp_path):
    file = tmp_path / "names_of_all_of_the_classes.txt"
    file.write_text("".join(f"{each}\n" for each in DIGITS))
    parameters["data"]["class_names"] = str(file)
    parameters["quantize"]["images"] = 10
    check_parameters(parameters, ["quantize"])
    parameters["quantize"]["images"] = 9
    with pytest.raises(InputError, match=r"quantize.images: 9, but there are 10 classes"):
        check_parameters(parameters, ["quantize"])


def test_an_onnx_file_is_refused_without_its_packages_or_under_another_name(parameters, monkeypatch):
    parameters["promote"]["onnx"] = "student.txt"
    check_parameters(parameters, ALL)
    with pytest.raises(InputError, match=r"promote.onnx: 'student.txt' must"):
        check_parameters(parameters, ["promote"])
    monkeypatch.setattr("nayer.export.onnx.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"promote.onnx: needs onnx, .*pip install"):
        check_parameters(parameters, ["promote"])


def test_int8_is_refused_without_its_packages_or_with_more_images_than_are_handed_on(parameters, monkeypatch):
    check_parameters(parameters, ["quantize"])
    parameters["quantize"]["images"] = 2001
    with pytest.raises(InputError, match=r"quantize.images: 2001, but distill.memory_sample provides 2000;"):
        check_parameters(parameters, ["quantize"])
    parameters["quantize"]["images"] = 9
    with pytest.raises(InputError, match=r"quantize.images: 9, but there are 10 classes; take at least one each"):
        check_parameters(parameters, ["quantize"])
    parameters["quantize"]["images"] = 512
    parameters["distill"]["synthesis"] = {**parameters["distill"]["synthesis"], "method": "dafl"}
    with pytest.raises(InputError, match=r"quantize.images: 512, but distill.synthesis.batch_size provides \d+;"):
        check_parameters(parameters, ["quantize"])
    monkeypatch.setattr("nayer.export.onnx.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"^quantize: needs onnx, .* or leave that pipeline out\.$"):
        check_parameters(parameters, ["quantize"])


@pytest.mark.parametrize(
    ("group", "settings", "words"),
    [
        ("runtime", {"device": "meta"}, r"runtime\.device: 'meta' cannot be used here"),
        ("runtime", {"resume": "require"}, r"runtime\.resume: 'require', but there is no state in '.*distill'"),
        ("runtime", {"resume_folder": "/proc/nowhere"}, r"runtime\.resume_folder: .* cannot be written"),
        ("evaluate", {"baselines": ["real"]}, r"evaluate\.baselines: \['real'\] need training images"),
        ("data", {"image_size": 10}, r"data\.image_size: 10"),
    ],
)
def test_what_a_node_would_refuse_later_is_refused_before_the_first(parameters, group, settings, words, tmp_path):
    if group in ("evaluate", "data"):
        kind = "test_folder" if group == "evaluate" else "image_folder"
        for part in ("train/a", "train/b", "test/a", "test/b"):
            (tmp_path / part).mkdir(parents=True)
            (tmp_path / part / "1.png").touch()
        parameters["data"] |= {"dataset": kind, "folder": str(tmp_path)}
    parameters[group] |= settings
    with pytest.raises(InputError, match=words):
        check_parameters(parameters, ALL)


def test_a_state_that_is_required_and_there_passes(parameters, tmp_path):
    state = tmp_path / "distill" / "state.pt"
    state.parent.mkdir()
    state.touch()
    parameters["runtime"] |= {"resume": "require", "resume_folder": str(tmp_path)}
    check_parameters(parameters, ["distill"])


def test_a_schedule_that_the_method_cannot_keep_is_refused_before_the_teacher_trains(parameters):
    parameters["distill"]["synthesis"] = {**parameters["distill"]["synthesis"], "method": "dafl", "batches": 3}
    with pytest.raises(InputError, match=r"distill\.student\.steps: 100 cannot be divided among the 3 batches"):
        check_parameters(parameters, ["distill"])


def test_a_source_of_teachers_that_nobody_knows_is_named(parameters):
    parameters["teacher"]["source"] = "torchvison"
    with pytest.raises(InputError, match=r"teacher\.source: unknown value 'torchvison'. Did you mean 'torchvision'"):
        check_parameters(parameters, ALL)
