"""How Kedro reads `conf/`, and what it cannot say about it in a sentence of ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nayer.core.errors import InputError, first_line, shown

CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "digits",
    # A scenario states only what differs from the base.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
}


def check_files(conf: Path, env: str, overrides: Mapping[str, Any]) -> None:
    """Refuse configuration that Kedro cannot read or merge, by name and place; it says so in many ways, not in ours."""
    below: dict[str, Any] = {}
    for part in ("base", env):
        places: dict[str, Path] = {}
        for file in sorted((conf / part).rglob("*.yml")):
            kind, found = Path(file.relative_to(conf / part).parts[0]).stem.partition("_")[0], read(file)
            for key in (key for key in found if not str(key).startswith("_")):
                if (other := places.setdefault(f"{kind}: {key}", file)) != file:
                    raise InputError(f"{file}: sets '{key}', as '{other.name}' does; set it in one of them.")
            if kind == "parameters":
                check_groups(below, found)
                below = {**found, **below}
    check_groups(below, overrides)


def read(file: Path) -> dict[Any, Any]:
    """What a file of configuration holds, as it stands there."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(file))
    except (YAMLError, OSError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise InputError(f"{file}: is no YAML ({place_in(error)}); correct it.") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: holds no mapping of keys to values; correct it, or delete it.")
    return found


def check_groups(below: Mapping[Any, Any], above: Mapping[Any, Any], key: str = "") -> None:
    """Refuse a list in the place of a group, or a group in that of a list, which OmegaConf cannot merge."""
    for name, value in above.items():
        held = below.get(name)
        if {type(held), type(value)} == {dict, list}:
            raise InputError(f"{key}{name}: {shown(value)} is refused, in its place stands a {type(held).__name__}.")
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            check_groups(held, value, f"{key}{name}.")


def place_in(error: Exception) -> str:
    """Where in a file the error is, as far as it knows."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else first_line(error)
