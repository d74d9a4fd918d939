"""Where things of a project lie: its scenarios and their DVC pipeline files."""

from pathlib import Path

DEFAULT = "digits"
NOT_SCENARIOS = {"base", "local"}


def scenarios(project: Path) -> list[str]:
    """The environments of `conf/` that can be run."""
    folders = [folder.name for folder in (project / "conf").iterdir() if folder.is_dir()]
    # With a dot: what a `kedro scenario` that was killed left behind.
    return sorted(name for name in folders if name not in NOT_SCENARIOS and "." not in name)


def pipeline_file(project: Path, scenario: str) -> Path:
    """Where the DVC pipeline file of a scenario lies, its dvc.lock beside it: the root's is that of the digits."""
    return project / "dvc.yaml" if scenario == DEFAULT else project / "conf" / scenario / "dvc.yaml"
