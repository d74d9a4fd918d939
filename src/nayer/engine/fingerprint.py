"""Identifies a computation by its code; the import graph says which files that is, so nobody keeps a list by hand."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grimp

PACKAGE = "nayer"


def code_behind(*roots: str, without: str | None = None) -> list[Path]:
    """Source files of some modules and of all modules of this package that they import, directly or indirectly.

    Args:
        roots: dotted names of modules, such as nayer.distillation.loop.
        without: a module that only chooses among others, such as a registry. It and what only it imports are left out;
            what it chose is to be one of the roots.
    """
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    if without:
        graph.remove_module(without)
    known = [root for root in roots if root in graph.modules]  # a method may come from outside this package
    modules = set(roots).union(*(graph.find_upstream_modules(root) for root in known))
    return sorted(_file(module) for module in modules)


@cache
def code_digest(*roots: str, without: str | None = None) -> str:
    """sha256 over the files of `code_behind`."""
    return _digest(code_behind(*roots, without=without))


@cache
def checkout_digest() -> str:
    """sha256 over all source files of the package."""
    return _digest(sorted(_file(PACKAGE).parent.rglob("*.py")))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Entries in which two nested mappings differ, each as `dotted.key: old -> new`."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def _file(module: str) -> Path:
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(module)
    return Path(found.origin)


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
