"""The table of label embeddings and its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from nayer.core.errors import InputError, first_mistake, is_printable
from nayer.core.tensors import load_tensors, save_tensors

KIND = "label embeddings"
TENSOR = "embeddings"
MIN_CLASSES = 2
MAX_NAME_LENGTH = 500
MATRIX = 2


# No generated comparison: tensors compare element by element, which gives no single answer.
@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """Table with one row per class, in the order of the labels, and its provenance.

    `table` is (classes, dim) float32. `prompt` is the template of the texts: "unknown" for a foreign table, "none"
    where no text was encoded.

    Raises:
        InputError: table and class names do not fit each other, or one of them is invalid.
    """

    table: Tensor
    class_names: tuple[str, ...]
    encoder: str
    revision: str
    prompt: str

    def __post_init__(self) -> None:
        check_class_names(self.class_names, f"class names of the {KIND}")
        _check_table(self.table, len(self.class_names), self.encoder)

    def save(self, path: Path) -> None:
        """Write table and provenance to one safetensors file; equal content gives equal bytes."""
        description = {
            "class_names": list(self.class_names),
            "encoder": self.encoder,
            "revision": self.revision,
            "prompt": self.prompt,
        }
        save_tensors(path, {TENSOR: self.table}, KIND, description)

    @classmethod
    def load(cls, path: Path) -> LabelEmbeddings:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is missing, damaged, foreign, or does not match its own description.
        """
        tensors, said = load_tensors(path, KIND)
        try:
            header = _Header.model_validate(said)
            table = tensors[TENSOR]
        except (KeyError, ValidationError) as error:
            reason = first_mistake(error) if isinstance(error, ValidationError) else f"no tensor {error}"
            raise InputError(
                f"{KIND} file '{path}' does not fit its own description ({reason}): make it again."
            ) from error
        return cls(table, tuple(header.class_names), header.encoder, header.revision, header.prompt)


class _Header(BaseModel):
    """Provenance that a file stores with its table."""

    model_config = ConfigDict(strict=True)

    class_names: list[str]
    encoder: str
    revision: str
    prompt: str


def check_class_names(names: Sequence[str], key: str) -> None:
    """Refuse class names that cannot tell classes apart.

    Raises:
        InputError: fewer than two names, or a name that is empty, not printable, too long or given twice; `key` is the
            parameter in the message.
    """
    if len(names) < MIN_CLASSES:
        found = f"only '{names[0]}'" if names else "none"
        raise InputError(f"{key}: {found} given, a classifier needs at least two classes: name them all.")
    empty = [index for index, name in enumerate(names) if not name.strip()]
    if empty:
        raise InputError(f"{key}: the name of class {empty[0]} is empty: give every class a name.")
    odd = [index for index, name in enumerate(names) if len(name) > MAX_NAME_LENGTH or not is_printable(name)]
    if odd:
        raise InputError(
            f"{key}: the name of class {odd[0]} has {len(names[odd[0]])} characters, or one that cannot be printed: "
            f"give every class a name of one line and at most {MAX_NAME_LENGTH} characters."
        )
    repeated = [f"'{name}'" for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{key}: {', '.join(repeated)} given more than once: give every class a name of its own.")


def _check_table(table: Tensor, classes: int, encoder: str) -> None:
    where = f"{KIND} of encoder '{encoder}'"
    if table.dtype != torch.float32 or table.ndim != MATRIX or not table.shape[1]:
        raise InputError(
            f"{where}: a float32 table (classes x dim) is needed, not {table.dtype} of shape {tuple(table.shape)}: "
            "make the table again."
        )
    if len(table) != classes:
        raise InputError(
            f"{where}: the table has {len(table)} rows for {classes} classes: one row per class is needed, "
            "in the order of the labels."
        )
    damaged = (~table.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if damaged:
        raise InputError(
            f"{where}: row {damaged[0]} holds non-finite values: choose another encoder, or make the table again."
        )
