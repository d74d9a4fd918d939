"""Networks of transformers, named by their configuration: `transformers:vit{"hidden_size": 64, "image_size": 32}`.

The braces hold what differs from the defaults of that kind of model, so that a classifier file needs no configuration
beside it. A configuration never runs code: a kind that transformers itself does not know is refused.
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

# Keys that follow from the numbers of classes and channels, or only record where a configuration came from.
TOLD_OTHERWISE = {
    *("id2label", "label2id", "num_labels", "num_channels", "model_type", "problem_type", "architectures"),
    *("stage_names", "out_features", "out_indices", "transformers_version", "dtype", "torch_dtype", "_name_or_path"),
}
# A kind whose configuration names files and addresses that timm would open.
FOREIGN = "timm_wrapper"
# Largest value, and largest count of numbers. Real networks stay far below; more would cost memory or hours first.
MOST, MOST_NUMBERS = 65_536, 4_096
# Keys that count layers. Some list them by stage, so the limit holds for the sum of the values under one key.
LAYERS = re.compile(r"^depths?$|_depths?$|(^|_)(n|num|numb_of)_(\w+_)?(layer|block|stage|repeat)s?$")
MOST_BY_NAME = (
    (LAYERS, 1_000),
    (re.compile(r"^depth_(coefficient|multiplier)$"), 16),
    (re.compile(r"vocab_size$"), 2**20),
)
# Endings of keys that hold token ids, which may be large as nothing is built from them.
PLACES = ("_token_id", "_token_index")
# Limit on values in buffers, such as position tables: built with the network, they need not lie in any file.
MOST_IN_BUFFERS = 2**26


class Logits(nn.Module):
    """A classifier of transformers that returns only its logits (N, classes)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, channels, H, W) normalised images -> (N, classes) logits."""
        logits: Tensor = self.model(pixel_values=pixels).logits
        return logits


def kinds() -> dict[str, Any]:
    """The kinds of image classifiers that transformers knows, each with its configuration class."""
    configurations = import_module("transformers").CONFIG_MAPPING
    return {kind: configurations[kind] for kind in classes_by_kind() if kind != FOREIGN}


def classes_by_kind() -> Mapping[str, str | tuple[str, ...]]:
    """The class names of the networks of each kind; some kinds have several."""
    auto: Any = import_module("transformers.models.auto.modeling_auto")
    found: Mapping[str, str | tuple[str, ...]] = auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return found


def configuration(name: str, key: str) -> Any:
    """The configuration that `KIND{...}` stands for.

    Raises:
        InputError: there is no such kind, or the braces hold no JSON or sizes that no real network has.
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
    except Exception as error:  # kinds raise errors of all types
        raise InputError(
            f"{key}: the configuration of 'transformers:{kind}' is refused ({first_line(error)}); correct it."
        ) from error


def check_sizes(options: Any, key: str) -> None:
    """Refuse sizes that no real network has, before anything is built with them.

    Raises:
        InputError: names the first such size.
    """
    said = list(islice(numbers(options), MOST_NUMBERS + 1))
    if len(said) > MOST_NUMBERS:
        raise InputError(
            f"{key}: the configuration holds over {MOST_NUMBERS:,} numbers; such a network cannot be used here."
        )
    layers: dict[str, float] = {}
    for name, number in said:
        most = next((most for pattern, most in MOST_BY_NAME if pattern.search(name)), MOST)
        if LAYERS.search(name):
            layers[name] = layers.get(name, 0) + abs(number)
        found = layers.get(name, number)
        if found > most and not name.endswith(PLACES):
            raise InputError(
                f"{key}: the configuration says {name} = {found:,}, more than {most:,}; such a network cannot be "
                "used here."
            )


def numbers(options: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in nested JSON, each with the key that it stands under."""
    if isinstance(options, dict):
        for key, value in options.items():
            yield from numbers(value, str(key))
    elif isinstance(options, list):
        for value in options:
            yield from numbers(value, name)
    elif isinstance(options, int | float):
        yield name, options


def without_memory(make: Callable[[], nn.Module], named: str, key: str) -> nn.Module:
    """The network built on the device `meta`, without memory: no file shows how large its buffers will be.

    Raises:
        InputError: its buffers are larger than those of any real network.
    """
    with torch.device("meta"):
        network = make()
    buffers = sum(each.numel() for each in network.buffers())
    if buffers > MOST_IN_BUFFERS:
        raise InputError(
            f"{key}: '{named}' of this configuration has tables of {buffers:,} numbers beside its weights, more than "
            f"{MOST_IN_BUFFERS:,}; use a smaller window or image size."
        )
    return network


def spelt(config: Any) -> str:
    """The architecture's name, from which `configuration` makes an equal configuration again."""
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
    except Exception as error:  # kinds raise errors of all types
        raise InputError(
            f"{key}: the configuration of 'transformers:{config.model_type}' refuses the changes "
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
    except Exception as error:  # kinds raise errors of all types
        kind = config.model_type
        raise InputError(
            f"{key}: 'transformers:{kind}' cannot be built ({type(error).__name__}: {first_line(error)}); name another."
        ) from error
