"""The network of a teacher at half its width: a student a fourth of its size that can start from its weights."""

import re
from collections.abc import Iterator
from typing import Any

from nayer.core.errors import InputError, refusable
from nayer.models.architectures import HALF_OF, MOST_HALVINGS, check_logits, halvings_of
from nayer.models.classifier import Classifier
from nayer.models.configured import respelt
from nayer.models.narrowing import half

HALF = "half"
# Keys of transformers' configurations that say how many channels there are; heads stay as many, each of them narrower.
WIDTHS = {
    *("hidden_size", "hidden_sizes", "intermediate_size", "pooler_output_size", "embedding_size"),
    *("embed_dim", "embed_dims", "depth_multiplier", "width_multiplier", "width_coefficient"),
}
# Of its weights, where a kind has other widths that nobody halved.
MOST = 0.7


def half_of(teacher: Classifier, key: str) -> Classifier:
    """Its network at half its width, with fresh weights.

    Raises:
        InputError: nobody knows how.
    """
    images, names = teacher.images, teacher.class_names
    said = teacher.architecture.partition("{")[0]
    if halvings_of(teacher.architecture) == MOST_HALVINGS:
        raise InputError(
            f"{key}: '{HALF}': '{said}' is a fourth as wide as its whole, and no less is known; name another."
        )
    for name in half_as_wide(teacher.architecture, key):
        with refusable():
            made = Classifier.build(name, names, images, key).eval()
            check_logits(made.network, images.channels, images.size, len(names), key)
            if made.parameter_count <= MOST * teacher.parameter_count:
                return made
    raise InputError(
        f"{key}: '{HALF}': a '{said}' counts on its widths in ways of its own; "
        "name a smaller network, such as one of its family."
    )


def half_as_wide(architecture: str, key: str) -> Iterator[str]:
    """What a network of half the width may be called: best as one of its kind, else as the half of this one."""
    kind, colon, name = architecture.partition(":")
    if kind == "transformers" and colon:
        with refusable():
            yield respelt(name, halved_widths, key)
    if (wide := re.fullmatch(r"(wrn-\d+)-(\d+)", architecture)) and int(wide[2]) % 2 == 0:
        yield f"{wide[1]}-{int(wide[2]) // 2}"
    yield f"{HALF_OF}{architecture}"


def halved_widths(values: dict[str, Any]) -> dict[str, Any]:
    """Of a configuration's values those that say a width, halved."""
    return {name: halved(value) for name, value in values.items() if name in WIDTHS and value}


def halved(value: Any) -> Any:
    """A number, or a list of them."""
    if isinstance(value, list):
        return [halved(each) for each in value]
    return value / 2 if isinstance(value, float) else half(value)
