"""How the pages of all benchmarks are made from templates."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from harness.scenario import PROJECT
from harness.settings import Study
from harness.table import Table
from nayer.core.files import write_atomically


def fill(template: Path, **values: Any) -> str:
    """Fill a Markdown template, which can call `table` for its tables."""
    page = Template(template.read_text(), keep_trailing_newline=True, undefined=StrictUndefined)
    return str(page.render(values, table=table))


def table(head: str, rows: Iterable[Sequence[Any]], name: int = 0, place: int | None = None) -> str:
    """A Markdown table of what has run, and below it the names of what has not.

    `head` is the table's first line. Its column `n` counts runs, of two settings as in "0, 0". `name` is the number of
    the column that names a row, `place` that of a column by which rows that have not run are grouped.
    """
    columns = [each.strip() for each in head.strip("| ").split("|")]
    ran, missing = [], dict[str, list[str]]()
    for row in rows:
        cells = [str(each) for each in row]
        if set(cells[columns.index("n")].split(", ")) == {"0"}:
            missing.setdefault(cells[place] if place is not None else "", []).append(cells[name])
        else:
            ran.append(f"| {' | '.join(cells)} |\n")
    lines = [f"{head}\n|{'---|' * len(columns)}\n", *ran] if ran else []
    left = [f"{where}: {', '.join(names)}" if where else ", ".join(names) for where, names in missing.items()]
    if len(left) > 1:
        listed = "".join(f"- {each}\n" for each in left)
        told = [f"Not run:\n\n{listed}"]
    else:
        told = [f"Not run: {each}.\n" for each in left]
    return "".join([*lines, *(["\n"] if ran and told else []), *told])


class StudyPage:
    """A study's results as Markdown and figures, from its table."""

    def __init__(self, study: Path) -> None:
        self.study = Study.read(study)
        self.results = PROJECT / self.study.results
        self.table = Table(self.results)
        self.ends = self.table.ends()

    def elsewhere(self) -> int:
        """Number of runs whose steps, as many as their minutes buy, were done on an accelerator."""
        accelerators = "machine.accelerator"
        return int(self.ends[accelerators].notna().sum()) if accelerators in self.ends else 0

    @abstractmethod
    def text(self) -> str:
        """Text of the page; saves its figures beside the table."""

    def write(self, page: Path) -> None:
        """Write the page anew."""
        self.results.mkdir(parents=True, exist_ok=True)
        text = self.text()
        write_atomically(page, lambda part: part.write_text(text))
