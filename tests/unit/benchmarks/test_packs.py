"""Packs bring files whole, or say what is missing."""

import os

import pytest
from harness import packs


@pytest.fixture
def sent(tmp_path):
    source = tmp_path / "here" / "data" / "set"
    source.mkdir(parents=True)
    (source / "a.bin").write_bytes(os.urandom(150_000))
    (source / "names.txt").write_text("ant\nbee\n")
    return packs.pack([source], tmp_path / "here", tmp_path / "packs", mib=0.05)


def test_what_arrives_is_what_was_sent_in_packs_of_the_size_that_travels(sent, tmp_path):
    assert len(sent) == 3
    assert max(each.stat().st_size for each in sent) <= 0.05 * 2**20 + 1
    said = packs.unpack(tmp_path / "packs", tmp_path / "there")
    assert "unpacked" in said
    for name in ("a.bin", "names.txt"):
        found = tmp_path / "there" / "data" / "set" / name
        assert found.read_bytes() == (tmp_path / "here" / "data" / "set" / name).read_bytes()


def test_a_pack_that_has_not_arrived_is_named_and_nothing_is_unpacked(sent, tmp_path):
    sent[1].unlink()
    assert "packs [2] of 3 have not arrived" in packs.unpack(tmp_path / "packs", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_damaged_pack_is_refused(sent, tmp_path):
    sent[0].write_bytes(b"x" * sent[0].stat().st_size)
    with pytest.raises(SystemExit, match="are damaged; send them again"):
        packs.unpack(tmp_path / "packs", tmp_path / "there")
