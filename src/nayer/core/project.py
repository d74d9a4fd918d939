"""Finds the scenarios of a project and their DVC pipeline files."""

from pathlib import Path

DEFAULT = "digits"
NOT_SCENARIOS = {"base", "local"}


def scenarios(project: Path) -> list[str]:
    """Names of the scenarios in `conf/`."""
    folders = [folder.name for folder in (project / "conf").iterdir() if folder.is_dir()]
    # A name with a dot is what a killed `kedro scenario` left behind.
    return sorted(name for name in folders if name not in NOT_SCENARIOS and "." not in name)


def pipeline_file(project: Path, scenario: str) -> Path:
    """Path of a scenario's DVC pipeline file, with its dvc.lock beside it; that of digits is at the project's root."""
    return project / "dvc.yaml" if scenario == DEFAULT else project / "conf" / scenario / "dvc.yaml"
