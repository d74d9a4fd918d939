"""Names that an encoder cannot tell apart: some are warned of, nothing but such are refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nayer.core.errors import InputError
from nayer.engine.progress import NullReporter
from nayer.lte import text_models
from nayer.lte.config import LteConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.lte.encoders import embed_labels, foreseen_twins
from nayer.lte.twins import first_alike, note_on_twins

EMNIST = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
CHINESE = tuple("零一二三四五六七八九")
EMOJI = tuple("😀😃😄😁😆😅😂🙂🙃😉")
WAY_OUT = "give other words, another lte.encoder, or lte.encoder: one_hot."


class Listener(NullReporter):
    """Keeps all messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def config(encoder: str = "minilm") -> LteConfig:
    return LteConfig(encoder=encoder, revision=None, prompt="a photo of a {}", batch_size=8, random_dim=4)


@pytest.mark.parametrize(
    ("names", "pair", "rows"),
    [(EMNIST, "'A' and 'a'", 36), (CHINESE, "'零' and '六'", 7), (("año", "ano", "perro"), "'año' and 'ano'", 2)],
)
def test_names_that_minilm_cannot_tell_apart_are_warned_of_and_foreseen(names, pair, rows):
    embed_labels(config(), names, 0, listener := Listener())
    (said,) = listener.said
    assert said.startswith(f"Warning: data.class_names: {pair} are the same to lte.encoder 'minilm', which has {rows} ")
    assert f"for {len(names)} classes" in said
    assert said.endswith(WAY_OUT)
    assert said == f"Warning: {foreseen_twins(config(), names)}"


def test_names_that_are_all_the_same_to_the_encoder_are_refused():
    with pytest.raises(
        InputError, match="data.class_names: '😀' and '😃', and so all 10 classes, .*one_hot"
    ) as refused:
        embed_labels(config(), EMOJI, 0)
    assert str(refused.value) == foreseen_twins(config(), EMOJI)
    assert len(embed_labels(config("one_hot"), EMOJI, 0).table.unique(dim=0)) == 10


def test_names_that_differ_are_not_talked_about():
    names = ("cat", "dog", *(f"class_{number}" for number in range(20)), "an uncommonly long name " * 20)
    embed_labels(config(), names, 0, listener := Listener())
    assert not listener.said
    assert foreseen_twins(config(), names) is None


def test_nothing_is_foreseen_of_an_encoder_that_would_have_to_be_loaded(monkeypatch):
    monkeypatch.setattr(text_models, "tokens", None)
    assert foreseen_twins(config("owner/model"), EMOJI) is None


def test_rounding_tells_no_classes_apart():
    table = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    table[2] = table[0] + 1e-6
    table[3] = table[1] + 1e-2
    assert first_alike(table) == [0, 1, 0, 3]


def test_a_ready_table_is_looked_at_too(tmp_path: Path):
    path = tmp_path / "table.safetensors"
    save_file({"embeddings": torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])}, path)
    embed_labels(config(str(path)), ("ant", "bee", "cat"), 0, listener := Listener())
    assert "'ant' and 'cat' are the same" in listener.said[0]
    with pytest.raises(InputError, match="'ant' and 'bee', and so all 3 classes"):
        note_on_twins(LabelEmbeddings(torch.zeros(3, 2), ("ant", "bee", "cat"), "mine", "", ""))
