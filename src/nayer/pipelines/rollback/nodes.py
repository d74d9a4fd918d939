"""Adapter of `nayer.mlops.registry`."""

from typing import Any

from nayer.config import PromoteConfig
from nayer.mlops import tracking
from nayer.mlops.registry import Registry


def roll_back(config: PromoteConfig) -> dict[str, Any]:
    """Give the alias `champion` back."""
    with tracking.answering():
        before, after = Registry(config.model_name).roll_back()
    return {"model": config.model_name, "from_version": before, "to_version": after}
