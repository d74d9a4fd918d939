"""The versions of one registered model: tags describe each version, and two aliases mark the current ones.

`challenger` is the newest candidate, `champion` the one in production. MLflow does not record former champions: the tag
`supersedes` of a version names the version it replaced, and the model's tags `champion <time>` hold the whole history.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from nayer.core.errors import InputError

CHAMPION, CHALLENGER = "champion", "challenger"
LARGEST_DESCRIPTION = 5000  # characters; a database such as PostgreSQL refuses more
NOBODY = "none"  # what the history names where there was no champion to replace


def now() -> str:
    """Current time in UTC to the microsecond, as text that sorts by time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def number(version: ModelVersion) -> str:
    """Version number as tags and URIs write it: the SQLite store returns an int, a server a string."""
    return str(version.version)


def logged_model(version: ModelVersion) -> str:
    """Id of the logged model behind a version: the last part of its source URI, models:/m-..."""
    return str(version.source).rpartition("/")[2]


def shortened(card: str) -> str:
    """A card that MLflow can store whatever its database: cut at a line, with a note, if it is too long."""
    if len(card) <= LARGEST_DESCRIPTION:
        return card
    note = f"\n\n(Cut: MLflow keeps {LARGEST_DESCRIPTION} characters.)\n"
    kept = card[: LARGEST_DESCRIPTION - len(note)]
    return (kept.rpartition("\n")[0] or kept) + note


def up_to(champion: str, reigns: list[str]) -> list[str]:
    """Reigns up to that of the champion, whose alias may have been moved by hand, which the history does not record.

    Back to an earlier champion, that undoes the promotions since, like a rollback; to another version, it is a
    promotion. Where there was no champion, there is nothing to go back to.
    """
    if champion == NOBODY:
        return []
    if champion not in reigns:
        return [*reigns, champion]
    return reigns[: len(reigns) - reigns[::-1].index(champion)]


class Registry:
    """One registered model in the store that MLflow is configured to use."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = MlflowClient()

    def at(self, alias: str) -> ModelVersion | None:
        """Version that has the alias, with its tags; None if no version has it."""
        try:
            return self.client.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            # The model or the alias does not exist yet; any other error is a fault of the store.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def holding(self, student: str) -> ModelVersion | None:
        """Version whose student file has this sha256, or None if it was never registered."""
        found = self.client.search_model_versions(f"name = '{self.name}' AND tags.student = '{student}'")
        return found[0] if found else None

    def add(self, model_uri: str, model_id: str, run_id: str, card: str, tags: Mapping[str, str]) -> str:
        """Register a logged model as the next version, with its card as the description; returns its number."""
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = self.client.create_model_version(
            self.name, model_uri, run_id=run_id, tags=dict(tags), description=shortened(card), model_id=model_id
        )
        return number(made)

    def attach(self, version: str, file: Path) -> str:
        """Add a file to those of a version, so that it is downloaded with them; returns its URI."""
        model = logged_model(self.client.get_model_version(self.name, version))
        self.client.log_model_artifact(model, str(file))
        return f"models:/{self.name}/{version}/{file.name}"

    def describe(self, version: str, card: str) -> None:
        """Set the description of a version."""
        self.client.update_model_version(self.name, version, shortened(card))

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, version, key, value)

    def untag(self, version: str, *keys: str) -> None:
        """Delete tags of a version; missing ones are ignored."""
        for key in keys:
            self.client.delete_model_version_tag(self.name, version, key)

    def point(self, alias: str, version: str) -> None:
        """Give the alias to a version; the version that had it loses it."""
        self.client.set_registered_model_alias(self.name, alias, version)

    def promote(self, version: str) -> None:
        """Make a version the champion and record which version it supersedes."""
        champion = self.at(CHAMPION)
        old = number(champion) if champion else ""
        self.tag(version, {"promoted_at": now(), "supersedes": old})
        self._crown(version, f"promoted over {old or NOBODY}")

    def history(self) -> list[tuple[str, str]]:
        """Times and changes of the alias champion, oldest first: ("2026-11-21T10:00:00.000000Z", "3 promoted over 2").

        Older histories do not say over whom: "3 promoted".
        """
        tags = self.client.get_registered_model(self.name).tags
        return sorted(
            (key.removeprefix("champion "), what) for key, what in tags.items() if key.startswith("champion ")
        )

    def _crown(self, version: str, why: str) -> None:
        self.point(CHAMPION, version)
        self.client.set_registered_model_tag(self.name, f"champion {now()}", f"{version} {why}")

    def reigns(self) -> list[str]:
        """Versions promoted and not rolled back since, the current champion last, as far as the history tells."""
        reigns: list[str] = []
        for _, what in self.history():
            version, happened, *over = what.split()
            if happened == "promoted":
                reigns = [*(up_to(over[-1], reigns) if over else reigns), version]
            else:
                reigns = up_to(version, reigns[:-1])
        return reigns

    def loadable(self, version: str) -> bool:
        """Whether the files of a version still exist and can be loaded."""
        try:
            mlflow.pyfunc.load_model(f"models:/{self.name}/{version}")
        except Exception:  # a damaged file may raise anything
            return False
        return True

    def roll_back(self) -> tuple[str, str]:
        """Make the champion before this one champion again; returns both numbers, the restored one last.

        Raises:
            InputError: there is no champion, there was none before it, or that version no longer exists.
        """
        champion = self.at(CHAMPION)
        if champion is None:
            raise InputError(
                f"promote.model_name: '{self.name}' has no champion to roll back; promote a student first."
            )
        # The tag `supersedes` would not do: it tells of the last promotion of a version, not of the one gone back to.
        *earlier, _ = up_to(number(champion), self.reigns())
        if not earlier:
            raise InputError(
                f"promote.model_name: version {number(champion)} of '{self.name}' is its first champion; there is "
                "none to go back to."
            )
        before = earlier[-1]
        if not self.loadable(before):
            raise InputError(
                f"promote.model_name: version {before} of '{self.name}', which version {champion.version} superseded, "
                "was deleted, or its files are gone or damaged; set the alias champion by hand on the MLflow page."
            )
        self._crown(before, f"restored in place of {number(champion)}")
        return number(champion), before

    def mark_runs(self, version: str, digests: Mapping[str, str]) -> dict[str, str]:
        """Find the newest run that made each output and tag it `<model>/<version>`; returns run ids by output.

        One query finds them all: ``mlflow.search_runs(filter_string="tags.`nayer-digits/3` LIKE '%'")``. Runs in
        another store, such as those of a GPU node without a shared server, are not found.
        """
        found = {}
        for output, digest in digests.items():
            runs = mlflow.search_runs(
                filter_string=f"tags.`output.{output}` = '{digest}'", max_results=1, output_format="list"
            )
            if runs:
                found[output] = runs[0].info.run_id
        for run_id in set(found.values()):
            made = ",".join(output for output, maker in found.items() if maker == run_id)
            self.client.set_tag(run_id, f"{self.name}/{version}", made)
        return found
