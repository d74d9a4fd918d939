"""Class names as a figure can write them: on one line, and only in letters that a font here has."""

from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import FontProperties, fontManager, get_font

MAX_NAME_LENGTH = 22
# Matplotlib's own font, and what systems have for letters that it lacks, such as Chinese, Japanese and Korean ones.
WANTED = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
)


@cache
def families() -> list[str]:
    """The wanted fonts that are installed, for `font.family`."""
    installed = set(fontManager.get_font_names())
    return [family for family in WANTED if family in installed]


@cache
def drawable(letter: str) -> bool:
    """Whether one of the fonts has the letter."""
    files = (fontManager.findfont(FontProperties([family])) for family in families())
    return any(get_font(file).get_char_index(ord(letter)) for file in files)


def written(class_names: Sequence[str]) -> list[str]:
    """Names for a figure, shortened where they take too much room; `class 3` for one that no font here can write."""
    lines = [" ".join(name.split()) for name in class_names]
    return [short(line) if all(map(drawable, line)) else f"class {place}" for place, line in enumerate(lines)]


def short(line: str) -> str:
    """A line, cut off where it is too long."""
    return line if len(line) <= MAX_NAME_LENGTH else line[: MAX_NAME_LENGTH - 1] + "…"
