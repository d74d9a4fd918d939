"""Outputs are complete or absent, whichever dataset writes them."""

import json

import pytest
from kedro.io import DatasetError

from nayer.workflow.catalog import AtomicDataset, FileDataset


@pytest.fixture
def dataset(tmp_path) -> AtomicDataset:
    return AtomicDataset(str(tmp_path / "sub" / "a.json"), {"type": "json.JSONDataset", "save_args": {"indent": 2}})


def test_what_is_saved_is_loaded_by_the_other_dataset(dataset, tmp_path):
    assert not dataset.exists()
    dataset.save({"a": 1})
    assert dataset.load() == {"a": 1}
    assert (tmp_path / "sub" / "a.json").read_text() == json.dumps({"a": 1}, indent=2)


def test_a_save_that_fails_in_the_middle_leaves_the_old_file_alone(dataset, tmp_path):
    dataset.save({"a": 1})
    with pytest.raises(DatasetError):
        dataset.save({"first": "is written", "then": object()})
    assert dataset.load() == {"a": 1}
    assert [file.name for file in (tmp_path / "sub").iterdir()] == ["a.json"]


def test_what_is_optional_is_none_where_it_is_not_there_and_nothing_else_is(tmp_path):
    place = str(tmp_path / "a.onnx")
    kind = "nayer.export.onnx.OnnxFile"
    assert FileDataset(place, kind, optional=True).load() is None
    assert AtomicDataset(place, {"type": "json.JSONDataset"}, optional=True).load() is None
    with pytest.raises(DatasetError):
        FileDataset(place, kind).load()
    (tmp_path / "a.onnx").write_bytes(b"1")
    assert FileDataset(place, kind, optional=True).load().content == b"1"
