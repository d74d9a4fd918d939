"""Load weights into a network, or say why they do not fit and which parameter to set."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError

# Prefixes that DataParallel, AveragedModel, Lightning, torch.compile and our own modules put before every key.
PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", "classifier.")
COUNTER = "num_batches_tracked"
LISTED = 3
# Types that weights may have; others, such as float8, mean nothing without the scales that belong to them.
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def fit(network: nn.Module, weights: Mapping[str, Tensor], where: str, key: str) -> None:
    """Load weights into a network with the same keys, apart from common prefixes.

    Raises:
        InputError: keys, shapes or types differ, or values are not finite; says which, and what to set.
    """
    expected = network.state_dict()
    found = strip(weights, expected)
    for name, value in expected.items():
        # PyTorch before 0.4.1 did not keep this counter, and nothing here reads it.
        if name.endswith(COUNTER) and name not in found:
            found[name] = value
    if complaints := differences(found, expected):
        raise InputError(f"{key}: {where} {', '.join(complaints)}; {way_out(expected, found)}.")
    fitted = {name: found[name].to(value.dtype) for name, value in expected.items()}
    if spoilt := [name for name, value in fitted.items() if not value.isfinite().all()]:
        raise InputError(f"{key}: {where} has non-finite values in {listed(spoilt)}; train it again.")
    network.load_state_dict(fitted)


def differences(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Reasons why weights cannot replace the expected ones, which may lie on the device `meta`; no value is read."""
    complaints = []
    if missing := sorted(expected.keys() - found.keys()):
        complaints.append(f"lacks {listed(missing)}")
    if extra := sorted(found.keys() - expected.keys()):
        complaints.append(f"has extra {listed(extra)}")
    if misfits := misfits_among(found, expected):
        complaints.append("; ".join(f"{name} {why}" for name, why in [*misfits.items()][:LISTED]))
    return complaints


def misfits_among(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of the tensors that cannot replace the expected ones, each with the reason."""
    whys = {name: misfit(found[name], wanted) for name, wanted in expected.items() if name in found}
    return {name: why for name, why in whys.items() if why}


def misfit(value: Tensor, wanted: Tensor) -> str | None:
    """Why a tensor cannot replace another; None if it can. No value is read."""
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "is not a plain tensor (sparse, quantised or no content)"
    if value.shape != wanted.shape:
        return f"is {tuple(value.shape)}, not {tuple(wanted.shape)}"
    if value.dtype not in FLOATS and (wanted.is_floating_point() or value.dtype not in WHOLE):
        return f"is {value.dtype}, not {wanted.dtype}"
    return None


def strip(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without common prefixes of their names, and without others beside them, such as a loss's."""
    found = without_common({name: value for name, value in weights.items() if name != "n_averaged"}, expected)
    return found if found.keys() & expected.keys() else among_others(found, expected)


def without_common(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without common prefixes of their names, stripped until some name is one of the network's own."""
    found = dict(weights)
    while found and not found.keys() & expected.keys():
        prefix = next((each for each in PREFIXES if all(name.startswith(each) for name in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def among_others(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's weights if one prefix sets exactly them apart from others, such as a loss's; else all weights.

    Further prefixes may follow that one.
    """
    for prefix in PREFIXES:
        part = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        part = without_common(part, expected)
        if part and all(name.endswith(COUNTER) for name in part.keys() ^ expected.keys()):
            return part
    return dict(weights)


def listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def other_head(apart: Iterable[str], expected: Iterable[str]) -> str | None:
    """The name of a network's last part if all the names in `apart` lie in it, else None."""
    parts = list(dict.fromkeys(name.partition(".")[0] for name in expected))
    return parts[-1] if len(parts) > 1 and {name.partition(".")[0] for name in apart} == {parts[-1]} else None


def way_out(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Advice on what most likely has to be set for the weights to fit."""
    misfits = [*misfits_among(found, expected)]
    names = expected.keys() ^ found.keys()
    if names and (head := other_head({*names, *misfits}, expected)):
        return (
            f"all but its {head} fits: set teacher.architecture to a package.module:factory that makes the network "
            "with that head (docs/bring-your-own-teacher.md)"
        )
    if any(found[name].ndim != expected[name].ndim or found[name].dtype not in FLOATS for name in misfits):
        return "save them again as dense tensors of float32"
    if found.keys() == expected.keys() and misfits:
        first = next(name for name in expected if expected[name].ndim > 1)
        if misfits == [first] and found[first].shape[1] != expected[first].shape[1]:
            return (
                f"they were trained on images of {found[first].shape[1]} channels: give as many values in "
                "teacher.normalisation"
            )
        last = [name for name in expected if expected[name].ndim > 1][-1]
        if set(misfits) <= {last, last.replace("weight", "bias")}:
            return f"they know {found[last].shape[0]} classes: give as many names in data.class_names"
        if any("pos" in name for name in misfits):  # a table of positions, whose length depends on the image size
            return (
                "set data.image_size and teacher.architecture to those they were trained with, the latter by name or "
                "as package.module:factory"
            )
    return "set teacher.architecture to the one they were trained with, by name or as package.module:factory"
