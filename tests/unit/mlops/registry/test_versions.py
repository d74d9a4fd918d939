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
    told = ["1 promoted over none", "2 promoted over 1", "1 restored in place of 2"]
    assert [what for _, what in registry.history()] == told


def test_rollbacks_go_back_one_champion_after_the_other_and_come_to_an_end(run, evaluated, images, promote_config):
    registry = Registry("steps")
    for top1 in (0.7, 0.8, 0.7):
        promote(evaluated(images, top1), promote_config("steps", largest_regression=1.0), {}, lambda: images)
    assert [number(registry.at(CHAMPION)), *registry.roll_back()] == ["1", "1", "2"]
    assert registry.roll_back() == ("2", "1")
    with pytest.raises(InputError, match="first champion"):
        registry.roll_back()


@pytest.fixture
def versions(store, monkeypatch):
    """Builds a registry with four versions that have no files and none of which was promoted."""
    monkeypatch.setattr(Registry, "loadable", lambda *_: True)

    def build(name: str) -> Registry:
        registry = Registry(name)
        registry.client.create_registered_model(name)
        for _ in range(4):
            registry.client.create_model_version(name, store.as_uri())
        return registry

    return build


def test_a_version_withdrawn_by_hand_is_not_gone_back_to(versions):
    registry = versions("by-hand")
    for version in ("1", "2"):
        registry.promote(version)
    registry.point(CHAMPION, "1")
    registry.promote("3")
    assert registry.roll_back() == ("3", "1")
    with pytest.raises(InputError, match="version 1 of 'by-hand' is its first champion"):
        registry.roll_back()


def test_a_version_put_in_by_hand_is_gone_back_to_and_from(versions):
    registry = versions("put-in")
    registry.promote("1")
    registry.point(CHAMPION, "2")
    registry.promote("3")
    registry.point(CHAMPION, "4")
    assert [registry.roll_back() for _ in range(3)] == [("4", "3"), ("3", "2"), ("2", "1")]


def test_a_version_promoted_twice_does_not_bring_back_one_that_was_withdrawn(versions):
    registry = versions("twice")
    for version in ("1", "2", "1"):
        registry.promote(version)
    registry.roll_back()
    registry.point(CHAMPION, "1")
    with pytest.raises(InputError, match="first champion"):
        registry.roll_back()


def test_nobody_is_gone_back_to_past_a_time_without_a_champion(versions):
    registry = versions("interregnum")
    registry.promote("1")
    registry.client.delete_registered_model_alias("interregnum", CHAMPION)
    registry.promote("2")
    with pytest.raises(InputError, match="first champion"):
        registry.roll_back()


def test_a_history_that_does_not_say_over_whom_can_still_be_read(versions):
    registry = versions("old-form")
    for version in ("1", "2", "3"):
        registry._crown(version, "promoted")
    registry._crown("2", "restored in place of 3")
    registry.promote("4")
    assert [registry.roll_back() for _ in range(2)] == [("4", "2"), ("2", "1")]


def test_a_description_that_is_longer_than_mlflow_keeps_is_cut_at_a_line(versions):
    registry = versions("long")
    added = registry.add("models:/long/1", "", "", "a line\n" * 1000, {})
    registry.describe("1", "no end" * 1000)
    for version, begins in ((added, "a line\na line\n"), ("1", "no endno end")):
        found = registry.client.get_model_version("long", version).description
        assert 4900 < len(found) <= 5000
        assert found.startswith(begins)
        assert found.endswith("\n\n(Cut: MLflow keeps 5000 characters.)\n")
    assert "a line\n\n(Cut" in registry.client.get_model_version("long", added).description


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
