"""Scenarios: the DVC pipeline file of one, made from what Kedro knows, and the making of new ones."""

from pathlib import Path

DEFAULT = "digits"
NOT_SCENARIOS = {"base", "local"}


def pipeline_file(project: Path, scenario: str) -> Path:
    """Where the DVC pipeline file of a scenario lies, its dvc.lock beside it: the root's is that of the digits."""
    return project / "dvc.yaml" if scenario == DEFAULT else project / "conf" / scenario / "dvc.yaml"
