"""Files are written whole or not at all."""

import pytest
import torch

from nayer.core.errors import Interrupted
from nayer.core.files import digest, write_atomically
from nayer.core.tensors import load_tensors, save_tensors


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_many_metadata_entries_still_give_stable_bytes(tmp_path):
    metadata = {name: name.upper() for name in "abcdefgh"}
    digests = set()
    for number in range(5):
        path = tmp_path / str(number)
        save_tensors(path, {"x": torch.arange(3)}, "thing", metadata)
        digests.add(digest(path))
    assert len(digests) == 1
    tensors, found = load_tensors(path, "thing")
    assert found == metadata
    assert tensors["x"].tolist() == [0, 1, 2]


def test_a_signal_while_torch_writes_stays_a_signal(tmp_path):
    def write(part):
        try:
            raise Interrupted("stopped at once", 2)
        except Interrupted as error:
            raise RuntimeError("unexpected pos 46 vs 0") from error

    with pytest.raises(Interrupted):
        write_atomically(tmp_path / "a", write)
    assert not list(tmp_path.iterdir())
