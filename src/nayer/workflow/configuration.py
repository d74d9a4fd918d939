"""How Kedro reads `conf/`, with error messages that name the file or the key at fault.

Kedro 1.7 names the file only for unterminated YAML or a value that is set twice, and no key where a list meets a group.
Where one file sets a group and another a single value in its place, it reports nothing, and chance decides which wins.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nayer.core.errors import InputError, first_line, reason, shown

CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "digits",
    # A scenario states only what differs from the base.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
}
SUFFIXES = (".yml", ".yaml", ".json")


class ConfigLoader(OmegaConfigLoader):
    """Kedro's own loader, with errors that tell the user what to correct."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Merged values of one kind of configuration, such as `parameters`.

        Raises:
            InputError: it cannot be read or merged; the message names the file or the key.
        """
        try:
            return super().__getitem__(key)
        except (InputError, MissingConfigException):
            raise
        except Exception as error:
            check_files(Path(self.conf_source), self.env or self.default_run_env, self.runtime_params or {})
            if isinstance(error, OmegaConfBaseException):
                place = error.full_key or key
                raise InputError(f"{place}: {first_line(error)}; correct it in conf/ or in --params.") from error
            raise

    def _check_duplicates(self, key: str, config_per_file: dict[Path, Any]) -> None:
        """Refuse a file that is no mapping, and a top-level name set by two files; Kedro calls this after reading."""
        set_by: dict[str, Path] = {}
        for file, found in sorted(config_per_file.items()):
            for name in (name for name in map(str, mapping(file, found)) if not name.startswith("_")):
                if (other := set_by.setdefault(name, file)) != file:
                    raise InputError(f"{file}: sets '{name}', as '{other.name}' does; set it in one of them.")


def mapping(file: Path, found: Any) -> DictConfig:
    """Content of a file, if it is a mapping of keys to values.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(found, DictConfig):
        raise InputError(f"{file}: holds no mapping of keys to values; correct it, or delete it.")
    return found


def check_files(conf: Path, env: str, overrides: Mapping[str, Any]) -> None:
    """Find the file or key that Kedro could not read or merge; called only after it has failed.

    Raises:
        InputError: names the file or the key.
    """
    below: dict[Any, Any] = {}
    for folder in (conf / "base", conf / env):
        for file in sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES and file.is_file()):
            found = read(file)
            place = file.relative_to(folder)
            if place.parts[0].startswith("parameters") or place.name.startswith("parameters"):
                check_groups(below, contents(found))
                below = contents(OmegaConf.merge(below, found))
    check_groups(below, overrides)


def read(file: Path) -> DictConfig:
    """Content of a configuration file, as it is written.

    Raises:
        InputError: it cannot be read; the message names the file and the place in it.
    """
    found = None
    try:
        found = OmegaConf.load(file)
    except OSError as error:
        if error.errno:  # without errno, OmegaConf found a single number instead
            raise InputError(f"{file}: cannot be read ({reason(error)}); make it readable, or delete it.") from error
    except Exception as error:  # malformed YAML can raise anything, even RecursionError
        raise InputError(f"{file}: not YAML ({place_in(error)}); correct it.") from error
    if others := [name for name in mapping(file, found) if not isinstance(name, str)]:
        raise InputError(f"{file}: the key {shown(others[0])} is not text; quote or correct it.")
    return mapping(file, found)


def contents(found: Any) -> dict[Any, Any]:
    """Plain mappings and lists, with references left unresolved."""
    return cast(dict[Any, Any], OmegaConf.to_container(found))  # a mapping becomes a dict


def check_groups(below: Mapping[Any, Any], above: Mapping[Any, Any], key: str = "") -> None:
    """Refuse a list in place of a group, or a group in place of a list, which OmegaConf cannot merge."""
    for name, value in above.items():
        held = below.get(name)
        if {type(held), type(value)} == {dict, list}:
            wanted = "a list" if isinstance(held, list) else "keys with values"
            raise InputError(f"{key}{name}: {shown(value)} is refused; give {wanted}, as in conf/.")
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            check_groups(held, value, f"{key}{name}.")


def place_in(error: Exception) -> str:
    """Place of an error in a file, as far as the error knows it."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else first_line(error)
