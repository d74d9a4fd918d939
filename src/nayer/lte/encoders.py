"""Conversion of class names to label embeddings by the configured encoder."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from nayer.core.errors import InputError, unknown
from nayer.engine.progress import Reporter
from nayer.lte import text_models
from nayer.lte.config import LteConfig
from nayer.lte.embeddings import LabelEmbeddings, check_class_names
from nayer.lte.tables import import_table
from nayer.lte.twins import note_on, note_on_twins

Source = Literal["minilm", "one_hot", "random", "table", "folder", "hub"]
BUILT_IN: dict[str, Source] = {"minilm": "minilm", "one_hot": "one_hot", "random": "random"}
CHOICES = (*BUILT_IN, "a *.safetensors table", "a local folder", "a Hugging Face id (owner/name)")
HUB_ID = r"\w[\w.-]*/\w[\w.-]*"


def embed_labels(
    config: LteConfig, class_names: Sequence[str], seed: int, reporter: Reporter | None = None
) -> LabelEmbeddings:
    """Table (classes, dim) for `class_names` from `config.encoder`; `seed` is used by the encoder `random` only.

    The `reporter` is warned of names that the encoder cannot tell apart.

    Raises:
        InputError: the names, the prompt or the encoder cannot be used, or the encoder can tell no names apart.
    """
    check_class_names(class_names, "data.class_names")
    source, names = check_encoder(config), tuple(class_names)
    if source == "one_hot":
        return LabelEmbeddings(torch.eye(len(names)), names, source, "none", "none")
    if source == "random":
        drawn = torch.randn(len(names), config.random_dim, generator=torch.Generator().manual_seed(seed))
        return LabelEmbeddings(drawn, names, source, f"seed {seed}", "none")
    is_table = source == "table"
    made = import_table(config.encoder, Path(config.encoder), names) if is_table else _encoded(source, config, names)
    if (note := note_on_twins(made)) and reporter:
        reporter.warn(note)
    return made


def foreseen_twins(config: LteConfig, class_names: Sequence[str]) -> str | None:
    """What `embed_labels` will warn of or refuse, where that is known without loading the encoder: for minilm."""
    if config.encoder != "minilm":
        return None
    tokens = text_models.tokens(text_models.bundled_folder(), prompts(config.prompt, class_names))
    return note_on(class_names, [tokens.index(each) for each in tokens], config.encoder)


def check_encoder(config: LteConfig) -> Source:
    """Kind of the configured encoder, after checking all that can be checked without loading it.

    Raises:
        InputError: the prompt does not contain {} exactly once, or the encoder is misspelt or missing.
    """
    if config.prompt.count("{}") != 1:
        raise InputError(
            f"lte.prompt: '{config.prompt}' must contain {{}} exactly once, where the class name goes, "
            "as in 'a photo of a {}'."
        )
    source = _source(config.encoder)
    path = Path(config.encoder)
    if source == "minilm":
        text_models.bundled_folder()
    if source == "table" and not path.is_file():
        raise InputError(f"lte.encoder: table '{config.encoder}' does not exist: correct the path, or make the table.")
    if source == "folder" and not (path / "config.json").is_file():
        raise InputError(
            f"lte.encoder: folder '{config.encoder}' has no config.json, so it is not a saved transformers model: "
            f"point to the folder with it, or choose {text_models.WAYS_OUT}."
        )
    return source


def prompts(template: str, class_names: Sequence[str]) -> list[str]:
    """One text per class: the template with {} replaced by the name, in which `_` and `-` become spaces.

    Names that would become empty or the same, such as signs and numbers, stay as they are.
    """
    readable = [" ".join(re.split(r"[\s_-]+", name)).strip() for name in class_names]
    times = Counter(readable)
    told = [new if new and times[new] == 1 else name for name, new in zip(class_names, readable, strict=True)]
    return [template.replace("{}", name) for name in told]


def _source(encoder: str) -> Source:
    if encoder in BUILT_IN:
        return BUILT_IN[encoder]
    if encoder.endswith(".safetensors"):
        return "table"
    if Path(encoder).is_dir():
        return "folder"
    if re.fullmatch(HUB_ID, encoder):
        return "hub"
    if "/" in encoder or encoder.startswith((".", "~")):
        raise InputError(
            f"lte.encoder: '{encoder}' is not a folder here: correct the path, or choose {text_models.WAYS_OUT}."
        )
    raise unknown("lte.encoder", encoder, CHOICES)


def _encoded(source: Source, config: LteConfig, names: tuple[str, ...]) -> LabelEmbeddings:
    """Embeddings of the names by a text model."""
    texts = prompts(config.prompt, names)
    folder, revision = _locate(source, config)
    table = text_models.encode(config.encoder, folder, texts, config.batch_size)
    return LabelEmbeddings(table, names, config.encoder, revision, config.prompt)


def _locate(source: Source, config: LteConfig) -> tuple[Path, str]:
    """Folder of a text model and the identifier of its weights: a commit of the hub, or a digest."""
    if source == "minilm":
        return text_models.verified_bundle()
    if source == "hub":
        return text_models.fetch(config.encoder, config.revision)
    folder = Path(config.encoder)
    return folder, text_models.weights_digest(folder)
