"""Classes whose names an encoder cannot tell apart: they get the same row, and so images of each other."""

from collections.abc import Sequence

from torch import Tensor

from nayer.core.errors import InputError
from nayer.lte.embeddings import LabelEmbeddings

# Largest difference between equal rows, as a share of the largest number: how many texts are encoded together, and how
# long the others are, changes the last bits.
ROUNDING = 1e-4


def note_on_twins(embeddings: LabelEmbeddings) -> str | None:
    """Sentence about classes with the same row, if there are some.

    Raises:
        InputError: all rows are the same.
    """
    alike = first_alike(embeddings.table)
    note = note_on(embeddings.class_names, alike, embeddings.encoder)
    if note and not any(alike):
        raise InputError(note)
    return note


def first_alike(table: Tensor) -> list[int]:
    """For every row the index of the first one that is equal to it, except for rounding."""
    most = ROUNDING * table.abs().max()
    return [int(((table - row).abs().amax(dim=1) <= most).int().argmax()) for row in table]


def note_on(class_names: Sequence[str], alike: Sequence[int], encoder: str) -> str | None:
    """Sentence about classes with the same row, for each of which `alike` says which class has it first."""
    rows = len(set(alike))
    if rows == len(class_names):
        return None
    second = next(index for index, first in enumerate(alike) if first != index)
    pair = f"'{class_names[alike[second]]}' and '{class_names[second]}'"
    way_out = "give other words, another lte.encoder, or lte.encoder: one_hot."
    if rows == 1:
        return (
            f"data.class_names: {pair}, and so all {len(class_names)} classes, are the same to lte.encoder "
            f"'{encoder}', and nothing would tell their images apart; {way_out}"
        )
    return (
        f"data.class_names: {pair} are the same to lte.encoder '{encoder}', which has {rows} rows for "
        f"{len(class_names)} classes, so the student will be worse at these; {way_out}"
    )
