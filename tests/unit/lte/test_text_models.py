"""Text models from a folder or the hub: CLIP's projection, mean pooling, and what is refused."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from nayer.core.errors import InputError
from nayer.core.files import digest
from nayer.lte.config import LteConfig
from nayer.lte.encoders import embed_labels
from nayer.lte.text_models import encode

TEXTS = ["a cat", "a big dog", "cat"]
CHARACTERS = "abcdgiot"


def config(encoder: Path | str, **changes: Any) -> LteConfig:
    values = {"revision": None, "prompt": "a {}", "batch_size": 2, "random_dim": 5}
    return LteConfig(encoder=str(encoder), **{**values, **changes})


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    words = [*CHARACTERS, *(f"{character}</w>" for character in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends: dict[str, Any] = {
        "bos_token_id": len(words) - 2,
        "eos_token_id": len(words) - 1,
        "pad_token_id": len(words) - 1,
    }
    model = CLIPTextModelWithProjection(CLIPTextConfig(vocab_size=len(words), projection_dim=6, **shape, **ends))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    folder = tmp_path / "bert"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "big", "cat", "dog"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(folder)
    return folder


def test_clip_gives_its_projected_embedding(clip: Path) -> None:
    made = encode("clip", clip, TEXTS, batch_size=2)
    tokenizer: Any = CLIPTokenizer.from_pretrained(clip)
    model: Any = CLIPTextModelWithProjection.from_pretrained(clip)
    with torch.no_grad():
        expected = torch.cat([model(**tokenizer([text], return_tensors="pt")).text_embeds for text in TEXTS])
    assert made.shape == (3, 6)
    assert made.std(dim=0).min() > 0
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_other_models_give_the_mean_over_real_tokens(bert: Path) -> None:
    made = encode("bert", bert, TEXTS, batch_size=3)
    tokenizer: Any = BertTokenizer.from_pretrained(bert)
    model: Any = BertModel.from_pretrained(bert)
    with torch.no_grad():
        one_by_one = [
            model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in TEXTS
        ]
    torch.testing.assert_close(made, torch.stack(one_by_one), atol=1e-5, rtol=0)


def test_half_precision_weights_are_computed_in_fp32(bert: Path) -> None:
    weights = load_file(bert / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in weights.items()}, bert / "model.safetensors", {"format": "pt"})
    assert encode("bert", bert, TEXTS, 2).dtype == torch.float32


def test_local_folder_is_pinned_by_the_digest_of_its_weights(bert: Path) -> None:
    made = embed_labels(config(bert), ("cat", "dog"), 0)
    assert (made.encoder, made.revision, made.prompt) == (str(bert), digest(bert / "model.safetensors"), "a {}")


def test_old_weights_are_read_as_tensors(bert: Path) -> None:
    safe = embed_labels(config(bert), ("cat", "dog"), 0)
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    old = embed_labels(config(bert), ("cat", "dog"), 0)
    assert torch.equal(safe.table, old.table)
    assert old.revision == digest(bert / "pytorch_model.bin")


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("part", ["weights", "architecture", "archive"])
def test_nothing_in_a_folder_is_run_and_no_archive_unfolds(bert: Path, part: str, monkeypatch) -> None:
    monkeypatch.chdir(bert)
    if part == "architecture":
        told = {**json.loads((bert / "config.json").read_text()), "model_type": "own"}
        told["auto_map"] = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
        (bert / "config.json").write_text(json.dumps(told))
        (bert / "code.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    else:
        (bert / "model.safetensors").unlink()
        torch.save({"w": Code()}, bert / "pytorch_model.bin")
    if part == "archive":
        with zipfile.ZipFile(bert / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(2**26))
    words = "compressed, which torch never does" if part == "archive" else "cannot be used as a text encoder"
    with pytest.raises(InputError, match=words):
        encode("bert", bert, TEXTS, 2)
    assert not (bert / "executed").exists()


def test_missing_projection_is_not_drawn_at_random(clip: Path) -> None:
    weights = load_file(clip / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, clip / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks the weights 'text_projection.weight'"):
        encode("clip", clip, TEXTS, 2)


@pytest.mark.parametrize("damage", ["model.safetensors", "config.json"])
def test_damaged_folder(bert: Path, damage: str) -> None:
    (bert / damage).write_text("{")
    with pytest.raises(InputError, match="cannot be used as a text encoder"):
        encode("bert", bert, TEXTS, 2)


def test_transformers_is_as_loud_as_before(bert: Path) -> None:
    before = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    encode("bert", bert, TEXTS, 2)
    assert (transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()) == before


def test_hub_model_is_pinned_by_its_commit(monkeypatch: pytest.MonkeyPatch, bert: Path) -> None:
    commit = bert.rename(bert.parent / ("0" * 40))
    asked: list[tuple[str, Any]] = []

    def snapshot(name: str, revision: str | None, **_: Any) -> str:
        asked.append((name, revision))
        return str(commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    made = embed_labels(config("owner/model", revision="v1"), ("cat", "dog"), 0)
    assert asked == [("owner/model", "v1")]
    assert (made.encoder, made.revision) == ("owner/model", "0" * 40)


def test_hub_model_without_safe_weights_is_asked_for_its_old_ones(monkeypatch: pytest.MonkeyPatch, bert: Path) -> None:
    weights = load_file(bert / "model.safetensors")
    (bert / "model.safetensors").unlink()

    def snapshot(name: str, allow_patterns: list[str], **_: Any) -> str:
        if "pytorch_model.bin" in allow_patterns:
            torch.save(weights, bert / "pytorch_model.bin")
        return str(bert)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert embed_labels(config("owner/model"), ("cat", "dog"), 0).table.shape == (2, 8)


def test_hub_out_of_reach_names_what_works_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("no network\nmore lines")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(InputError, match="owner/model.*no network.*minilm .bundled., a local folder") as caught:
        embed_labels(config("owner/model", revision="v1"), ("cat", "dog"), 0)
    assert "\n" not in str(caught.value)
    assert "at revision 'v1'" in str(caught.value)


def test_importing_the_package_does_not_import_transformers() -> None:
    code = "import sys, nayer.lte.encoders; sys.exit('transformers' in sys.modules or 'huggingface_hub' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
