"""The one way in which a benchmark's page is made from a template."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from harness.scenario import PROJECT
from harness.settings import Study
from harness.table import Table
from nayer.core.files import write_atomically


def fill(template: Path, **values: Any) -> str:
    """A Markdown template with its places filled."""
    text: str = Template(template.read_text(), keep_trailing_newline=True, undefined=StrictUndefined).render(values)
    return text


class StudyPage:
    """A study's results as Markdown and figures, from its table."""

    def __init__(self, study: Path) -> None:
        self.study = Study.read(study)
        self.results = PROJECT / self.study.results
        self.table = Table(self.results)
        self.ends = self.table.ends()

    @abstractmethod
    def text(self) -> str:
        """The page, its figures saved beside the table."""

    def write(self, page: Path) -> None:
        """Make it anew."""
        self.results.mkdir(parents=True, exist_ok=True)
        text = self.text()
        write_atomically(page, lambda part: part.write_text(text))
