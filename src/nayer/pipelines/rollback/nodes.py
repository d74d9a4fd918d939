"""Adapter node for `nayer.mlops.registry.versions`."""

from typing import Any

from nayer.mlops.registry.config import PromoteConfig
from nayer.mlops.registry.versions import Registry
from nayer.mlops.tracking import run


def roll_back(config: PromoteConfig) -> dict[str, Any]:
    """Give the alias `champion` back to the version that the champion superseded."""
    with run.answering():
        before, after = Registry(config.model_name).roll_back()
    return {"model": config.model_name, "from_version": before, "to_version": after}
