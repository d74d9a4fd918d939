"""Programs of torch.export are read as data, never as code."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from nayer.core.errors import InputError
from nayer.models.architectures import build_network
from nayer.teachers.checkpoint import read_weights
from nayer.teachers.pt2 import load_exported

# Torch warns about strided weights on other devices; these are on the CPU.
pytestmark = pytest.mark.filterwarnings("ignore:No complete tensor found in the group:UserWarning")
TABLE = "program/data/weights/model_weights_config.json"


@pytest.fixture
def program(tmp_path) -> Path:
    torch.manual_seed(0)
    network = build_network("wrn-10-1", 1, 3).to(memory_format=torch.channels_last).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(2, 1, 8, 8),)), tmp_path / "program.pt2")
    return tmp_path / "program.pt2"


def changed(program: Path, table: dict, compression: int = zipfile.ZIP_STORED) -> Path:
    """Copy a program, with another description of its weights."""
    other = program.with_name("changed.pt2")
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(other, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, json.dumps(table) if name == TABLE else old.read(name))
    return other


def table_of(program: Path) -> dict:
    with zipfile.ZipFile(program) as archive:
        return json.loads(archive.read(TABLE))


def test_the_weights_are_those_that_went_in(program):
    torch.manual_seed(0)
    wanted = build_network("wrn-10-1", 1, 3).state_dict()
    found = load_exported(program)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_pickled_weights_are_refused(program):
    table = table_of(program)
    next(iter(table["config"].values()))["use_pickle"] = True
    with pytest.raises(InputError, match="holds more than weights"):
        read_weights(changed(program, table), "teacher.weights")


@pytest.mark.parametrize(
    "lie",
    [
        {"sizes": [{"as_int": 10**9}], "strides": [{"as_int": 1}]},
        {"storage_offset": {"as_int": 10**9}},
        {"storage_offset": {"as_int": -1}},
        {"dtype": 99},
        {"sizes": [{"as_expr": "s0"}]},
    ],
)
def test_a_description_that_does_not_fit_its_content_is_refused(lie, program):
    table = table_of(program)
    next(iter(table["config"].values()))["tensor_meta"].update(lie)
    with pytest.raises(InputError, match="damaged"):
        read_weights(changed(program, table), "teacher.weights")


def test_compressed_weights_are_refused_before_they_unfold(program):
    with pytest.raises(InputError, match="compressed"):
        read_weights(changed(program, table_of(program), zipfile.ZIP_DEFLATED), "teacher.weights")


def test_a_file_cut_short_and_a_zip_of_something_else_are_refused(program, tmp_path):
    (tmp_path / "half.pt2").write_bytes(program.read_bytes()[:5000])
    shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path, "half.pt2")
    (tmp_path / "other.zip").rename(tmp_path / "other.pt2")
    for name in ("half.pt2", "other.pt2"):
        with pytest.raises(InputError, match=f"{name}' is damaged"):
            read_weights(tmp_path / name, "teacher.weights")


@pytest.mark.parametrize("table", [[], None, "text", {"config": []}, {"config": {"weight": None}}])
def test_an_odd_table_is_damage(table, program):
    with pytest.raises(InputError, match="damaged|holds no weights"):
        read_weights(changed(program, table), "teacher.weights")
