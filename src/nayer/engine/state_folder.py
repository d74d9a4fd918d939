"""Paths of the states of interrupted stages, and the hint that messages give about them; does not import torch."""

from pathlib import Path


def state_file(resume_folder: str, stage: str) -> Path:
    """Path of a stage's state file."""
    return Path(resume_folder) / stage / "state.pt"


def resume_hint(resume_folder: str, afresh: bool = False) -> str:
    """End of a message: which states are kept, and that the same command resumes or, if `afresh`, starts anew."""
    states = sorted(Path(resume_folder).glob("*/state.pt"), key=lambda path: path.stat().st_mtime)
    if not states:
        return "No state had been kept yet. The same command starts again."
    kept = " and ".join(path.parent.name for path in states)
    way = "With other values the same command starts afresh." if afresh else "The same command goes on from there."
    return f"Kept in '{resume_folder}': the last state of {kept}. {way}"
