"""Where the states of interrupted stages lie, and what a message says of them; without torch."""

from pathlib import Path


def state_file(resume_folder: str, stage: str) -> Path:
    """Where the state of a stage lies."""
    return Path(resume_folder) / stage / "state.pt"


def resume_hint(resume_folder: str, afresh: bool = False) -> str:
    """What is kept there and which command goes on, or starts `afresh` with other values: the end of a message."""
    states = sorted(Path(resume_folder).glob("*/state.pt"), key=lambda path: path.stat().st_mtime)
    if not states:
        return "No state had been kept yet. The same command starts again."
    kept = " and ".join(path.parent.name for path in states)
    way = "With other values the same command starts afresh." if afresh else "The same command goes on from there."
    return f"Kept in '{resume_folder}': the last state of {kept}. {way}"
