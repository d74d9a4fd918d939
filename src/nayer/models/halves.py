"""A teacher's network at half its width: a student of a fourth of its size that can start from its weights."""

import re
from collections.abc import Iterator
from typing import Any

from nayer.core.errors import InputError, refusable
from nayer.models.architectures import HALF_OF, MOST_HALVINGS, check_logits, halvings_of
from nayer.models.classifier import Classifier
from nayer.models.configured import respelt
from nayer.models.narrowing import half

HALF = "half"
# Keys of transformers' configurations that hold widths. The number of heads stays, so each head becomes narrower.
WIDTHS = {
    *("hidden_size", "hidden_sizes", "intermediate_size", "pooler_output_size", "embedding_size"),
    *("embed_dim", "embed_dims", "depth_multiplier", "width_multiplier", "width_coefficient"),
}
# Largest share of the teacher's weights that a half may have; more means that some widths were not halved.
MOST = 0.7


def half_of(teacher: Classifier, key: str) -> Classifier:
    """The teacher's network at half its width, with fresh weights.

    Raises:
        InputError: the network cannot be halved, or has been halved as often as is possible.
    """
    images, names = teacher.images, teacher.class_names
    said = teacher.architecture.partition("{")[0]
    if halvings_of(teacher.architecture) == MOST_HALVINGS:
        raise InputError(
            f"{key}: '{HALF}': '{said}' is at a quarter of its full width, the least allowed; name another."
        )
    for name in half_as_wide(teacher.architecture, key):
        with refusable():
            made = Classifier.build(name, names, images, key).eval()
            check_logits(made.network, images.channels, images.size, len(names), key)
            if made.parameter_count <= MOST * teacher.parameter_count:
                return made
    raise InputError(
        f"{key}: '{HALF}': '{said}' relies on its full widths internally; "
        "name a smaller network, such as one of its family."
    )


def half_as_wide(architecture: str, key: str) -> Iterator[str]:
    """Possible names of the network at half its width, best first: one of the same kind, then `half:` and its name."""
    kind, colon, name = architecture.partition(":")
    if kind == "transformers" and colon:
        with refusable():
            yield respelt(name, halved_widths, key)
    if (wide := re.fullmatch(r"(wrn-\d+)-(\d+)", architecture)) and int(wide[2]) % 2 == 0:
        yield f"{wide[1]}-{int(wide[2]) // 2}"
    yield f"{HALF_OF}{architecture}"


def halved_widths(values: dict[str, Any]) -> dict[str, Any]:
    """The widths among a configuration's values, halved."""
    return {name: halved(value) for name, value in values.items() if name in WIDTHS and value}


def halved(value: Any) -> Any:
    """Half of a width, or of each width in a list."""
    if isinstance(value, list):
        return [halved(each) for each in value]
    return value / 2 if isinstance(value, float) else half(value)
