"""Networks of transformers by their configuration: `transformers:vit{"hidden_size": 64, "image_size": 32}`.

The braces hold what differs from the defaults of the kind; a classifier file that says so needs no other file. Of a
configuration nothing is run: a kind that transformers does not know itself is refused.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError, first_line, unknown

# What follows from the number of classes and channels, or only says where a configuration came from.
TOLD_OTHERWISE = {
    *("id2label", "label2id", "num_labels", "num_channels", "model_type", "problem_type", "architectures"),
    *("stage_names", "out_features", "out_indices", "transformers_version", "dtype", "torch_dtype", "_name_or_path"),
}
# Its configuration names files and addresses that timm would open.
FOREIGN = "timm_wrapper"
# Networks of today stay far below; a file that claims more would take memory, or hours, before it is found out.
MOST, MOST_NUMBERS = 65_536, 4_096
# Names of how many layers there are, not of how wide these are: stage by stage or not, so many may be there together.
LAYERS = re.compile(r"^depths?$|_depths?$|(^|_)(n|num|numb_of)_(\w+_)?(layer|block|stage|repeat)s?$")
MOST_BY_NAME = (
    (LAYERS, 1_000),
    (re.compile(r"^depth_(coefficient|multiplier)$"), 16),
    (re.compile(r"vocab_size$"), 2**20),
)
# Places of words, by which nothing is built.
PLACES = ("_token_id", "_token_index")
# Numbers that no file holds: tables of places, made anew with the network.
MOST_IN_BUFFERS = 2**26


class Logits(nn.Module):
    """A classifier of transformers that gives its logits (N, classes) alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, classes)."""
        logits: Tensor = self.model(pixel_values=pixels).logits
        return logits


def kinds() -> dict[str, Any]:
    """The kinds of image classifiers that transformers knows, with their classes of configuration."""
    configurations = import_module("transformers").CONFIG_MAPPING
    return {kind: configurations[kind] for kind in classes_by_kind() if kind != FOREIGN}


def classes_by_kind() -> Mapping[str, str | tuple[str, ...]]:
    """The names of the classes of networks, of some kinds several."""
    auto: Any = import_module("transformers.models.auto.modeling_auto")
    found: Mapping[str, str | tuple[str, ...]] = auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return found


def configuration(name: str, key: str) -> Any:
    """The configuration that `KIND{...}` stands for.

    Raises:
        InputError: there is no such kind, the braces hold no JSON, or numbers that no network has.
    """
    kind, brace, rest = name.partition("{")
    known = kinds()
    if kind not in known:
        raise unknown(key, f"transformers:{kind}", [f"transformers:{each}" for each in known])
    try:
        options = json.loads(brace + rest) if brace else {}
        check_sizes(options, key)
        return known[kind](**options)
    except InputError:
        raise
    except Exception as error:  # each kind has its own demands
        raise InputError(
            f"{key}: the configuration of 'transformers:{kind}' is refused ({first_line(error)}); correct it."
        ) from error


def check_sizes(options: Any, key: str) -> None:
    """Refuse sizes that no network of today has, before anything is built by them.

    Raises:
        InputError: names the first.
    """
    said = list(islice(numbers(options), MOST_NUMBERS + 1))
    if len(said) > MOST_NUMBERS:
        raise InputError(
            f"{key}: the configuration holds over {MOST_NUMBERS:,} numbers; that is no network that can be used here."
        )
    layers: dict[str, float] = {}
    for name, number in said:
        most = next((most for pattern, most in MOST_BY_NAME if pattern.search(name)), MOST)
        if LAYERS.search(name):
            layers[name] = layers.get(name, 0) + abs(number)
        found = layers.get(name, number)
        if found > most and not name.endswith(PLACES):
            raise InputError(
                f"{key}: the configuration says {name} = {found:,}, more than {most:,}; that is no network that can "
                "be used here."
            )


def numbers(options: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in nested JSON, with the names that they stand under."""
    if isinstance(options, dict):
        for key, value in options.items():
            yield from numbers(value, str(key))
    elif isinstance(options, list):
        for value in options:
            yield from numbers(value, name)
    elif isinstance(options, int | float):
        yield name, options


def without_memory(make: Callable[[], nn.Module], named: str, key: str) -> nn.Module:
    """The network that is made, on the device `meta`: no file shows how large its tables will be.

    Raises:
        InputError: they are larger than those of any network of today.
    """
    with torch.device("meta"):
        network = make()
    buffers = sum(each.numel() for each in network.buffers())
    if buffers > MOST_IN_BUFFERS:
        raise InputError(
            f"{key}: '{named}' of this configuration has tables of {buffers:,} numbers beside its weights, more than "
            f"{MOST_IN_BUFFERS:,}; take a smaller window or image size."
        )
    return network


def spelt(config: Any) -> str:
    """The architecture's name, from which `configuration` makes the same again."""
    defaults = type(config)().to_dict()
    differing = {
        key: value
        for key, value in config.to_dict().items()
        if key not in TOLD_OTHERWISE and (key not in defaults or defaults[key] != value)
    }
    several = classes_by_kind()[config.model_type]
    if isinstance(several, tuple) and config.architectures and config.architectures[0] in several[1:]:
        differing["architectures"] = config.architectures
    text = json.dumps(differing, sort_keys=True, separators=(",", ":")) if differing else ""
    return f"transformers:{config.model_type}{text}"


def respelt(name: str, changes: Callable[[dict[str, Any]], dict[str, Any]], key: str) -> str:
    """The name of the same kind of network with some values of its configuration changed.

    Raises:
        InputError: as `configuration` does, or the changed values are refused.
    """
    config = configuration(name, key)
    values = config.to_dict()
    values |= changes(values)
    kept = {each: value for each, value in values.items() if each not in TOLD_OTHERWISE}
    try:
        return spelt(type(config)(**kept, architectures=config.architectures))
    except Exception as error:  # each kind has its own demands
        raise InputError(
            f"{key}: the configuration of 'transformers:{config.model_type}' cannot be changed so "
            f"({first_line(error)}); name another network."
        ) from error


def configured_network(name: str, channels: int, classes: int, key: str) -> nn.Module:
    """A network of transformers with fresh weights.

    Raises:
        InputError: it cannot be built.
    """
    config = configuration(name, key)
    config.num_channels, config.num_labels = channels, classes
    several = classes_by_kind()[config.model_type]
    if isinstance(several, tuple) and not config.architectures:
        config.architectures = [several[0]]
    make = partial(import_module("transformers").AutoModelForImageClassification.from_config, config)
    try:
        without_memory(make, f"transformers:{config.model_type}", key)
        return Logits(make())
    except InputError:
        raise
    except Exception as error:  # each kind has its own demands
        kind = config.model_type
        raise InputError(
            f"{key}: 'transformers:{kind}' cannot be built ({type(error).__name__}: {first_line(error)}); take another."
        ) from error
