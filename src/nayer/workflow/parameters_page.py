"""Generate docs/parameters.md from the docstrings of the parameters: python -m nayer.workflow.parameters_page."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from nayer.core.config import MAX_VALUE, Config
from nayer.synthesis.method import SynthesisConfig
from nayer.synthesis.registry import METHODS
from nayer.workflow.parameters import groups

HEAD = """# Parameters

Made by `make parameters` from the docstrings; do not edit. What has no default here is set in `conf/base` or, where
that leaves it open, in `conf/<scenario>`; a default holds until a scenario says otherwise, and for a method it is what
its authors publish. A wrong value is refused with one sentence before any work starts. Beside these groups are
`scenario`, which names the folder of outputs, and `seed`.
"""
# Limits that no recipe comes near are left out, as they tell a reader nothing.
FAR = MAX_VALUE
NULL = " or null"
NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}


def render() -> str:
    """Whole page as Markdown."""
    parts = [HEAD]
    for name, kind in groups().items():
        parts += [f"## {name}\n\n{summary(kind)}\n", table(name, kind)]
    for name, method in METHODS.items():
        title = f"## distill.synthesis with `method: {name}`"
        about = f"{method.title} ({method.reference}). {summary(method.Config)}"
        parts += [f"{title}\n\n{about}\n", table("distill.synthesis", method.Config)]
    return "\n".join(parts)


def summary(kind: type[Config]) -> str:
    """Docstring of a group, on one line."""
    return " ".join((kind.__doc__ or "").split())


def table(prefix: str, kind: type[Config]) -> str:
    """Table with one row per parameter of a group and its subgroups; the methods have tables of their own."""
    rows = ["| key | value | default | what it is |", "|---|---|---|---|"]
    return "\n".join([*rows, *lines(prefix, kind), ""])


def lines(prefix: str, kind: type[Config]) -> Iterator[str]:
    """Rows of a group and its subgroups."""
    for name, field in kind.model_fields.items():
        key, inside = f"{prefix}.{name}", group_in(field.annotation)
        if inside and issubclass(inside, SynthesisConfig):
            yield f"| `{key}` | by method, see below | | {described(kind, name)} |"
        elif inside and type_of(field.annotation) in ("group", "group or null"):
            yield f"| `{key}` | {type_of(field.annotation)} | | {described(kind, name)} |"
            yield from lines(key, inside)
        else:
            default = "" if field.is_required() else f"`{shown(field.default)}`"
            yield f"| `{key}` | {with_limits(field)} | {default} | {described(kind, name)} |"


def group_in(annotation: Any) -> type[Config] | None:
    """Group of parameters that a field may hold, or None."""
    found = [
        each for each in (annotation, *get_args(annotation)) if isinstance(each, type) and issubclass(each, Config)
    ]
    return found[0] if found else None


def described(kind: type[Config], name: str) -> str:
    """Docstring of a parameter, or the one in the base class it is inherited from."""
    for each in kind.__mro__:
        fields = getattr(each, "model_fields", {})
        if name in fields and (text := fields[name].description):
            return " ".join(text.split()).replace("|", "\\|")
    return ""


def type_of(annotation: Any) -> str:
    """Name of a type for readers of YAML."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{shown(each)}`" for each in inner)
    if origin in (list, tuple, Annotated):
        return f"{'' if origin is Annotated else 'list of '}{type_of(inner[0])}"
    if inner:
        return " or ".join(dict.fromkeys(type_of(each) for each in inner))
    return NAMES.get(annotation, "group")


def with_limits(field: FieldInfo) -> str:
    """Name of a field's type, with the range of a number before the null that it may be instead."""
    name, range_of_it = type_of(field.annotation), limits(field)
    if range_of_it and name.endswith(NULL):
        return f"{name.removesuffix(NULL)}{range_of_it},{NULL}"
    return name + range_of_it


def limits(field: FieldInfo) -> str:
    """Range of a number, as text that follows its type; empty if there is none."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    # Those of a number that may be null, or that is one of a list, stand within its type.
    kinds = dict.fromkeys(each for each in get_args(field.annotation) if get_origin(each) is Annotated)
    inner = map(FieldInfo.from_annotation, kinds)
    metadata = [*field.metadata, *(each for one in inner for each in one.metadata)]
    found = [(words[name], getattr(each, name)) for each in metadata for name in words if hasattr(each, name)]
    return "".join(f", {word} {value:g}" for word, value in found if abs(value) < FAR)


def shown(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    sys.stdout.write(render())
