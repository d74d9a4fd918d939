"""Campaigns: the same test many times over, each with a seed of its own.

A test marked `campaign(short=2, long=60)` gets a number `case`, which seeds everything that it draws. `make e2e` runs
the short forms, `make soak` (`--long`) the long ones. Cases that a long form has survived are noted in .soak/, and not
run again until the code changes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from clones import PROJECT

NOTES = PROJECT / ".soak"
# The notes file of this run, and those of its cases that were survived, before or now.
KEPT, SURVIVED = pytest.StashKey[Path](), pytest.StashKey[set[str]]()
WATCHED = ("src", "conf", "requirements.lock", "tests/e2e/clones.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long forms of the campaigns")


def is_long(config: pytest.Config) -> bool:
    return bool(config.getoption("--long", default=False))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("campaign")
    if mark:
        metafunc.parametrize("case", range(mark.kwargs["long" if is_long(metafunc.config) else "short"]))


def code_digest() -> str:
    """The sha256 of what all campaigns depend on."""
    files = (file for part in WATCHED for file in sorted((PROJECT / part).rglob("*")) or [PROJECT / part])
    contents = (file.read_bytes() for file in files if file.is_file() and file.suffix != ".pyc")
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()[:16]


def notes() -> Path:
    """File with one line for each case that was survived with exactly this code."""
    NOTES.mkdir(exist_ok=True)
    return NOTES / f"{code_digest()}.jsonl"


def name_of(item: pytest.Item) -> str:
    """Name of a case, which changes with the file of its test."""
    return f"{item.nodeid} {hashlib.sha256(item.path.read_bytes()).hexdigest()[:16]}"


def survived(file: Path) -> set[str]:
    return {json.loads(line) for line in file.read_text().splitlines()} if file.exists() else set()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not is_long(config):
        return
    config.stash[KEPT] = file = notes()
    done = survived(file)
    config.stash[SURVIVED] = done & {name_of(item) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if name_of(item) in done])
    items[:] = [item for item in items if name_of(item) not in done]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.passed and KEPT in item.config.stash:
        item.config.stash[SURVIVED].add(name_of(item))
        with item.config.stash[KEPT].open("a") as file:
            file.write(json.dumps(name_of(item)) + "\n")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if KEPT not in config.stash:
        return
    kept = Counter(name.partition("[")[0] for name in config.stash[SURVIVED])
    failed = Counter(each.nodeid.partition("[")[0] for each in terminalreporter.stats.get("failed", []))
    terminalreporter.section("campaigns")
    for name in sorted({*kept, *failed}):
        terminalreporter.write_line(f"{name}: {kept[name] + failed[name]} tried, {kept[name]} survived")
