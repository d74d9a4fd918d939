"""Rollback, history, and the way from a version to the runs that made it."""

import mlflow
import pytest

from nayer.core.errors import InputError
from nayer.mlops.registry.promotion import promote
from nayer.mlops.registry.versions import CHAMPION, Registry, number


def test_rollback_returns_to_the_superseded_version_and_the_history_can_be_read(run, evaluated, images, promote_config):
    config, registry = promote_config("back"), Registry("back")
    for top1 in (0.8, 0.9):
        promote(evaluated(images, top1), config, {}, lambda: images)
    assert registry.roll_back() == ("2", "1")
    assert number(registry.at(CHAMPION)) == "1"
    assert [what for _, what in registry.history()] == ["1 promoted", "2 promoted", "1 restored in place of 2"]


def test_rollbacks_go_back_one_champion_after_the_other_and_come_to_an_end(run, evaluated, images, promote_config):
    registry = Registry("steps")
    for top1 in (0.7, 0.8, 0.7):
        promote(evaluated(images, top1), promote_config("steps", largest_regression=1.0), {}, lambda: images)
    assert [number(registry.at(CHAMPION)), *registry.roll_back()] == ["1", "1", "2"]
    assert registry.roll_back() == ("2", "1")
    with pytest.raises(InputError, match="first champion"):
        registry.roll_back()


def test_rollback_without_anyone_to_go_back_to_says_so(run, evaluated, images, promote_config):
    registry = Registry("lonely")
    with pytest.raises(InputError, match="no champion"):
        registry.roll_back()
    promote(evaluated(images, 0.8), promote_config("lonely"), {}, lambda: images)
    with pytest.raises(InputError, match="first champion"):
        registry.roll_back()
    promote(evaluated(images, 0.9), promote_config("lonely"), {}, lambda: images)
    registry.client.delete_model_version("lonely", "1")
    with pytest.raises(InputError, match="was deleted"):
        registry.roll_back()


def test_one_query_finds_the_runs_behind_a_version(store, evaluated, images, promote_config):
    candidate = evaluated(images, 0.9)
    makers = {}
    for output in ("teacher", "student"):
        with mlflow.start_run() as run:
            mlflow.set_tag(f"output.{output}", candidate.digests[output])
            makers[output] = run.info.run_id
    with mlflow.start_run():
        version = promote(candidate, promote_config("traced"), {}, lambda: images)["version"]
    found = mlflow.search_runs(filter_string=f"tags.`traced/{version}` LIKE '%'", output_format="list")
    assert {run.info.run_id: run.data.tags[f"traced/{version}"] for run in found} == {
        run_id: output for output, run_id in makers.items()
    }
    tags = Registry("traced").at(CHAMPION).tags
    assert tags["run.student"] == makers["student"]
