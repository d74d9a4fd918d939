"""Exactly the versions of the lock files get installed, also after later releases of any package."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
INSTALLERS = ("Makefile", "README.md", "deploy", "docs", "src")


def commands() -> list[str]:
    """All lines that install from a lock file."""
    places = [PROJECT / name for name in INSTALLERS]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    lines = [line for file in files if file.suffix != ".pyc" for line in file.read_text(errors="ignore").splitlines()]
    return [line for line in lines if re.search(r"pip install\b.* -r", line)]


def test_a_lock_is_installed_without_resolving_anything():
    found = commands()
    assert len(found) >= 6
    assert not [line for line in found if not ("--no-deps" in line and "--require-hashes" in line)]
