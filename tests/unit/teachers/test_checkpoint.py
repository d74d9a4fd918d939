"""Weights that strangers saved: they are found in any wrapping, what does not fit is named, no code is run."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from nayer.core.errors import InputError
from nayer.models.architectures import build_network
from nayer.models.weights import PREFIXES, fit
from nayer.teachers.checkpoint import find_weights, read_weights

KEY = "teacher.location"


def network(classes: int = 3, channels: int = 1) -> nn.Module:
    return build_network("wrn-10-1", channels, classes)


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(4)
    return network()


def prefixed(prefix: str, model: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in model.state_dict().items()}


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def loaded(path: Path) -> nn.Module:
    into = network()
    fit(into, read_weights(path, KEY), f"'{path.name}'", KEY)
    return into


@pytest.mark.parametrize("zipped", [True, False], ids=["new format", "old pickle"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model.state_dict(),
        lambda model: nn.DataParallel(model).state_dict(),
        lambda model: AveragedModel(model).state_dict(),
        lambda model: prefixed("_orig_mod.", model),
        lambda model: {"epoch": 3, "state_dict": prefixed("model.", model)},
        lambda model: {"model": model.state_dict(), "optimizer": {"lr": 0.1}},
        lambda model: {"model_ema": prefixed("module.", model)},
        lambda model: {"state_dict": prefixed("model.", model) | {"criterion.weight": torch.ones(3)}},
    ],
    ids=["plain", "DataParallel", "averaged", "compiled", "Lightning", "checkpoint", "averaged only", "beside a loss"],
)
def test_weights_are_found_in_what_wraps_them(wrap, zipped, trained, tmp_path):
    path = tmp_path / "teacher.pth"
    torch.save(wrap(trained), path, _use_new_zipfile_serialization=zipped)
    assert same(loaded(path), trained)


@pytest.mark.parametrize("first", PREFIXES)
@pytest.mark.parametrize("second", PREFIXES)
@pytest.mark.parametrize("beside", ["criterion.weight", "loss.weight"])
def test_prefixes_may_follow_each_other_beside_a_loss(first, second, beside, trained):
    given = prefixed(f"{first}{second}", trained) | {beside: torch.ones(3)}
    into = network()
    fit(into, given, "'teacher.pth'", KEY)
    assert same(into, trained)


def test_safetensors_and_half_precision_and_missing_counters(trained, tmp_path):
    path = tmp_path / "teacher.safetensors"
    halved = {name: value.half() for name, value in trained.state_dict().items() if "num_batches" not in name}
    save_file(halved, path)
    into = loaded(path)
    assert {value.dtype for value in into.parameters()} == {torch.float32}
    assert torch.allclose(next(into.parameters()), next(trained.parameters()), atol=1e-3)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("save", ["pickle", "torch", "whole model"])
def test_a_pickle_with_code_in_it_is_refused_and_never_run(save, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "teacher.pth"
    if save == "pickle":
        path.write_bytes(pickle.dumps(Malicious()))
    else:
        torch.save(trained if save == "whole model" else {"state_dict": Malicious()}, path)
    with pytest.raises(InputError, match="more than weights"):
        read_weights(path, KEY)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["teacher.pth", "teacher.safetensors"])
def test_half_a_download_is_said_so(name, trained, tmp_path):
    path = tmp_path / name
    (save_file if name.endswith("safetensors") else torch.save)(trained.state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="half downloaded"):
        read_weights(path, KEY)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_weights(tmp_path / "nothing.pth", KEY)
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(InputError, match="no weights"):
        read_weights(tmp_path / "empty.pth", KEY)


def test_a_file_nested_without_end_holds_no_weights():
    content: dict[str, Any] = {"weight": torch.ones(1)}
    for _ in range(3000):
        content = {"model": content}
    assert find_weights(content) == {}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: network(classes=5), "know 5 classes: give as many names in data.class_names"),
        (lambda: network(channels=3), "images of 3 channels"),
        (lambda: build_network("resnet-18", 1, 3), "set teacher.architecture"),
        (lambda: build_network("wrn-16-1", 1, 3), "has extra.*set teacher.architecture"),
    ],
    ids=["classes", "channels", "another architecture", "deeper"],
)
def test_what_does_not_fit_is_named_with_the_way_out(other, words):
    with pytest.raises(InputError, match=f"{KEY}: 'teacher.pth' .*{words}"):
        fit(network(), other().state_dict(), "'teacher.pth'", KEY)


def test_a_network_with_a_head_of_its_own_is_told_from_another_network():
    made, other = (torchvision.models.resnet18(weights=None, num_classes=3) for _ in range(2))
    other.fc = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(512, 3))
    with pytest.raises(InputError, match=r"has extra fc.1.bias, fc.1.weight; all but its fc fits: set teacher.arch"):
        fit(made, other.state_dict(), "'teacher.pth'", KEY)


def test_spoilt_values_are_named(trained):
    weights = trained.state_dict()
    next(iter(weights.values()))[0] = torch.nan
    with pytest.raises(InputError, match="non-finite values"):
        fit(network(), weights, "'teacher.pth'", KEY)


def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path):
    (tmp_path / "page.pth").write_text("<html>404 Not Found</html>")
    with pytest.raises(InputError, match="was not written by torch.save"):
        read_weights(tmp_path / "page.pth", "teacher.weights")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    with pytest.raises(InputError, match="is a TorchScript program"):
        read_weights(tmp_path / "script.pt", "teacher.weights")
