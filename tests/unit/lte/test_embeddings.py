"""The table of label embeddings refuses invalid content and survives saving and loading unchanged."""

from pathlib import Path

import pytest
import torch

from nayer.core.errors import InputError
from nayer.core.tensors import save_tensors
from nayer.lte.embeddings import KIND, LabelEmbeddings, check_class_names

NAMES = ("cat", "dog", "truck")


def made(table: torch.Tensor | None = None, names: tuple[str, ...] = NAMES) -> LabelEmbeddings:
    return LabelEmbeddings(torch.arange(6.0).view(3, 2) if table is None else table, names, "minilm", "abc", "a {}")


def test_file_gives_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "table.safetensors"
    made().save(path)
    loaded = LabelEmbeddings.load(path)
    assert torch.equal(loaded.table, made().table)
    assert (loaded.class_names, loaded.encoder, loaded.revision, loaded.prompt) == (NAMES, "minilm", "abc", "a {}")


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made().save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (torch.zeros(3), "classes x dim"),
        (torch.zeros(3, 0), "classes x dim"),
        (torch.zeros(3, 2, dtype=torch.float64), "float32"),
        (torch.zeros(2, 2), "2 rows for 3 classes"),
        (torch.tensor([[0.0], [float("nan")], [0.0]]), "row 1"),
        (torch.tensor([[0.0], [0.0], [float("inf")]]), "row 2"),
    ],
)
def test_tables_that_cannot_be_used(table: torch.Tensor, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        made(table)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "none given"),
        (("cat",), "only 'cat' given"),
        (("cat", " "), "class 1 is empty"),
        (("cat", "dog", "cat"), "'cat' given more than once"),
    ],
)
def test_class_names_that_cannot_be_used(names: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError, match=f"some.key: .*{reason}"):
        check_class_names(names, "some.key")


def test_all_repeated_names_are_listed() -> None:
    with pytest.raises(InputError, match="'a', 'b' given more than once"):
        check_class_names(("a", "b", "c", "b", "a"), "some.key")


def test_damaged_content_is_refused_on_load(tmp_path: Path) -> None:
    path = tmp_path / "table.safetensors"
    save_tensors(path, {"embeddings": torch.full((2, 2), float("nan"))}, KIND, vars(made()) | {"table": 0})
    with pytest.raises(InputError, match="2 rows for 3 classes"):
        LabelEmbeddings.load(path)
    save_tensors(path, {"embeddings": torch.zeros(3, 2)}, KIND, {"class_names": list(NAMES)})
    with pytest.raises(InputError, match="does not fit its own description"):
        LabelEmbeddings.load(path)
