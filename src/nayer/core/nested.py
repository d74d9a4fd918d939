"""Flattens nested mappings and typed parameters."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested values into one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = value.model_dump() if isinstance(value, BaseModel) else value
        if isinstance(inner, Mapping):
            flat |= flatten(inner, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = inner
    return flat
