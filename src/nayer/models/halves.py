"""The network of a teacher at half its width: a student a fourth of its size that can start from its weights."""

import re
from functools import partial
from typing import Any

import torch

from nayer.core.errors import InputError
from nayer.models.architectures import build_network
from nayer.models.configured import respelt

HALF = "half"
# Keys of transformers' configurations that say how many channels there are; heads stay as many, each of them narrower.
WIDTHS = {
    *("hidden_size", "hidden_sizes", "intermediate_size", "pooler_output_size", "embedding_size"),
    *("embed_dim", "embed_dims", "depth_multiplier", "width_multiplier", "width_coefficient"),
}
# Of its weights, where a kind has other widths that nobody halved.
MOST = 0.7


def half_as_wide(architecture: str, key: str) -> str:
    """The architecture's name at half its width.

    Raises:
        InputError: nobody knows how, or its width cannot be halved.
    """
    kind, colon, name = architecture.partition(":")
    if kind == "transformers" and colon:
        half = respelt(name, partial(halved_widths, key=key), key)
        if parameters(half, key) > MOST * parameters(architecture, key):
            raise cannot(key)
        return half
    if (wide := re.fullmatch(r"(wrn-\d+)-(\d+)", architecture)) and int(wide[2]) % 2 == 0:
        return f"{wide[1]}-{int(wide[2]) // 2}"
    raise InputError(
        f"{key}: '{HALF}' is known of networks of transformers and of wrn-D-W with an even W, not of "
        f"'{architecture}'; name a smaller network, such as one of its family."
    )


def halved_widths(values: dict[str, Any], key: str) -> dict[str, Any]:
    """Of a configuration's values those that say a width, halved.

    Raises:
        InputError: there is none, or an odd one.
    """
    found = {name: halved(value) for name, value in values.items() if name in WIDTHS and value}
    if not found or any(None in (value if isinstance(value, list) else [value]) for value in found.values()):
        raise cannot(key)
    return found


def halved(value: Any) -> Any:
    """A number, or a list of them; None for one that is odd."""
    if isinstance(value, list):
        return [halved(each) for each in value]
    if isinstance(value, float):
        return value / 2
    return None if value % 2 else value // 2


def parameters(architecture: str, key: str) -> int:
    """Weights of a network for colours and two classes; takes no memory for them."""
    with torch.device("meta"):
        network = build_network(architecture, 3, 2, key)
    return sum(each.numel() for each in network.parameters())


def cannot(key: str) -> InputError:
    """What is said of a network of transformers."""
    return InputError(f"{key}: '{HALF}': its configuration says no width that can be halved; name a smaller network.")
