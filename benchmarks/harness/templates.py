"""The one way in which a benchmark's page is made from a template."""

from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template


def fill(template: Path, **values: Any) -> str:
    """A Markdown template with its places filled."""
    text: str = Template(template.read_text(), keep_trailing_newline=True, undefined=StrictUndefined).render(values)
    return text
