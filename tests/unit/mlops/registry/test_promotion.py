"""From an evaluated student to challenger and champion, in a real store."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import torch
from mlflow.entities.model_registry import ModelVersion

from nayer.core.errors import InputError, Refused
from nayer.core.files import digest
from nayer.core.images import to_float
from nayer.datasets import ImageSet
from nayer.mlops.registry import promotion
from nayer.mlops.registry.promotion import promote
from nayer.mlops.registry.teachers import registered_weights
from nayer.mlops.registry.versions import CHALLENGER, CHAMPION, Registry, number
from nayer.models.classifier import Classifier

TAGS = {"scenario": "test", "git_commit": "c0ffee", "git_dirty": "false"}


def model_id(version: ModelVersion) -> str:
    """The logged model behind a version, from its source models:/m-..."""
    return version.source.rpartition("/")[2]


def model_file(store: Path, version: ModelVersion) -> Path:
    (file,) = (file for file in (store / "mlruns").rglob("model.pt2") if model_id(version) in str(file))
    return file


def remove_files(store: Path, version: ModelVersion) -> None:
    """Remove the artifacts of a version, as if somebody had tidied up."""
    model_file(store, version).unlink()


def unread() -> ImageSet:
    raise AssertionError("the test data were read again without need")


def test_first_student_becomes_champion_and_the_version_says_what_it_is(run, evaluated, images, promote_config):
    candidate = evaluated(images, 0.9)
    result = promote(candidate, promote_config("first"), TAGS, unread)
    assert result["champion"]
    version = Registry("first").at(CHAMPION)
    assert number(version) == result["version"] == number(Registry("first").at(CHALLENGER))
    assert version.tags["student"] == candidate.digests["student"]
    assert version.tags["test_data"] == images.digest()
    assert version.tags["git_commit"] == "c0ffee"
    assert version.tags["supersedes"] == ""
    assert version.tags["gate"] == "passed"
    assert "Data-free is not private" in version.description
    assert "90.00" in version.description
    logged = mlflow.get_logged_model(model_id(version))
    assert {metric.key: metric.value for metric in logged.metrics}["student.top1"] == 0.9


@pytest.mark.parametrize("count", [1, 7, 64])
def test_loaded_champion_takes_raw_pixels_of_any_number_of_images(count, run, evaluated, images, promote_config):
    candidate = evaluated(images, 0.9)
    promote(candidate, promote_config("loaded"), TAGS, unread)
    model = mlflow.pyfunc.load_model("models:/loaded@champion")
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8)
    with torch.inference_mode():
        wanted = candidate.student(to_float(pixels)).numpy()
    np.testing.assert_allclose(model.predict(pixels.numpy()), wanted, atol=1e-5)


def test_worse_student_is_refused_by_name_and_amount_and_the_champion_stays(run, evaluated, images, promote_config):
    config = promote_config("worse")
    first = promote(evaluated(images, 0.9), config, TAGS, unread)
    with pytest.raises(Refused, match=r"student.top1 0.8, at least 0.9 .*largest_regression.* missed by 0.1"):
        promote(evaluated(images, 0.8), config, TAGS, unread)
    registry = Registry("worse")
    assert number(registry.at(CHAMPION)) == first["version"]
    assert number(registry.at(CHALLENGER)) != first["version"]
    assert registry.at(CHALLENGER).tags["gate"].startswith("refused: student.top1")


def test_equal_figures_pass_and_the_version_remembers_whom_it_superseded(run, evaluated, images, promote_config):
    config = promote_config("equal")
    first = promote(evaluated(images, 0.9), config, TAGS, unread)
    other = evaluated(images, 0.8)
    other.metrics["student"]["top1"] = 0.9
    second = promote(other, config, TAGS, unread)
    champion = Registry("equal").at(CHAMPION)
    assert number(champion) == second["version"]
    assert champion.tags["supersedes"] == first["version"]


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something happen between the judging of the next student and its promotion, as by another machine."""

    def arrange(happens) -> None:
        def late(*given):
            monkeypatch.undo()
            happens()
            return promotion.register(*given)

        monkeypatch.setattr(promotion, "register", late)

    return arrange


@pytest.mark.parametrize("champions", [[], [0.7]])
def test_a_student_is_not_promoted_over_a_champion_it_was_not_judged_against(
    champions, run, evaluated, images, promote_config, meanwhile
):
    name = f"overtaken-{len(champions)}"
    config, registry = promote_config(name), Registry(name)
    for top1 in champions:
        promote(evaluated(images, top1), config, TAGS, unread)
    worse, better = evaluated(images, 0.8), evaluated(images, 0.9)
    meanwhile(lambda: promote(better, config, TAGS, unread))
    with pytest.raises(Refused, match=r"stays challenger and version \d champion: the champion changed while .* again"):
        promote(worse, config, TAGS, unread)
    assert registry.at(CHAMPION).tags["student"] == better.digests["student"]
    assert registry.at(CHALLENGER).tags["gate"].startswith("refused: the champion changed")
    with pytest.raises(Refused, match=r"student.top1 0.8, at least 0.9"):
        promote(worse, config, TAGS, unread)


def test_the_same_student_promoted_twice_side_by_side_is_champion_once(
    run, evaluated, images, promote_config, meanwhile
):
    config, candidate, registry = promote_config("at-once"), evaluated(images, 0.9), Registry("at-once")
    meanwhile(lambda: promote(candidate, config, TAGS, unread))
    assert promote(candidate, config, TAGS, unread)["champion"]
    assert [what for _, what in registry.history()] == ["1 promoted over none"]


def test_same_student_again_makes_no_second_version(run, evaluated, images, promote_config):
    config, candidate = promote_config("again"), evaluated(images, 0.9)
    assert promote(candidate, config, TAGS, unread)["version"] == promote(candidate, config, TAGS, unread)["version"]
    assert Registry("again").at(CHAMPION).tags["supersedes"] == ""


def test_champion_is_measured_again_when_the_test_data_are_others(run, evaluated, images, promote_config):
    config = promote_config("remeasured")
    champion = evaluated(images, 0.1)
    promote(champion, config, TAGS, unread)
    with torch.inference_mode():
        said = champion.student(to_float(images.images)).argmax(1)
    always_right = ImageSet(images.images, said)
    with pytest.raises(Refused, match="student.top1 0.9, at least 1 is required .*missed by 0.1"):
        promote(evaluated(always_right, 0.9), config, TAGS, lambda: always_right)
    always_wrong = ImageSet(images.images, (said + 1) % 3)
    assert promote(evaluated(always_wrong, 0.05), config, TAGS, lambda: always_wrong)["champion"]


def test_champion_whose_files_are_gone_is_said_so_unless_its_figures_suffice(
    store, run, evaluated, images, promote_config
):
    config = promote_config("gone")
    promote(evaluated(images, 0.9), config, TAGS, unread)
    registry = Registry("gone")
    remove_files(store, registry.at(CHAMPION))
    others = ImageSet(images.images, (images.labels + 1) % 3)
    with pytest.raises(InputError, match="cannot be loaded .*roll back"):
        promote(evaluated(others, 0.95), config, TAGS, lambda: others)
    assert number(registry.at(CHALLENGER)) == "1", "nothing was registered"
    assert promote(evaluated(images, 0.96), config, TAGS, unread)["champion"]


def test_champion_whose_files_are_damaged_is_said_so_and_is_not_gone_back_to(
    store, run, evaluated, images, promote_config
):
    config, registry = promote_config("damaged"), Registry("damaged")
    promote(evaluated(images, 0.9), config, TAGS, unread)
    file = model_file(store, registry.at(CHAMPION))
    file.write_bytes(file.read_bytes()[:100])
    others = ImageSet(images.images, (images.labels + 1) % 3)
    with pytest.raises(InputError, match="cannot be loaded .*roll back"):
        promote(evaluated(others, 0.95), config, TAGS, lambda: others)
    promote(evaluated(images, 0.96), config, TAGS, unread)
    with pytest.raises(
        InputError, match="version 1 of 'damaged', which version 2 superseded, was deleted, or its files are"
    ):
        registry.roll_back()


def test_a_champion_whose_files_are_gone_gets_them_back_when_it_is_promoted_again(
    store, run, evaluated, images, promote_config
):
    config, candidate, registry = promote_config("restored"), evaluated(images, 0.9), Registry("restored")
    promote(candidate, config, TAGS, unread)
    remove_files(store, registry.at(CHAMPION))
    assert promote(candidate, config, TAGS, unread)["version"] == "2"
    assert number(registry.at(CHAMPION)) == "2"
    assert registry.loadable("2")


def test_a_champion_with_its_classes_in_another_order_is_measured_by_their_names(
    run, evaluated, images, promote_config
):
    config = promote_config("reordered")
    champion = evaluated(images, 0.1)
    promote(champion, config, TAGS, unread)
    with torch.inference_mode():
        said = champion.student(to_float(images.images)).argmax(1)
    ant, bee, cat = champion.student.class_names
    turned = ImageSet(images.images, (said + 1) % 3)
    candidate = evaluated(turned, 0.9)
    candidate.student.class_names = (cat, ant, bee)
    with pytest.raises(Refused, match="student.top1 0.9, at least 1 is required"):
        promote(candidate, config, TAGS, lambda: turned)


def test_a_champion_of_other_classes_cannot_be_beaten_and_changed_test_data_are_told(
    run, evaluated, images, promote_config
):
    config = promote_config("other_classes")
    promote(evaluated(images, 0.9), config, TAGS, unread)
    others = ImageSet(images.images, (images.labels + 1) % 3)
    with pytest.raises(InputError, match="data: the test data differ from those of metrics.json"):
        promote(evaluated(others, 0.95), config, TAGS, lambda: images)
    candidate = evaluated(others, 0.95)
    candidate.student.class_names = ("dog", "bee", "cat")
    with pytest.raises(InputError, match="promote.model_name: .* knows other classes"):
        promote(candidate, config, TAGS, lambda: others)


def test_a_teacher_or_table_made_again_since_is_not_taken_for_the_students_own(run, evaluated, images, promote_config):
    candidate = evaluated(images, 0.9)
    other = Classifier.build("wrn-10-1", candidate.student.class_names, candidate.student.images)
    with pytest.raises(InputError, match="teacher: the file is not the one the student learnt from"):
        promote(replace(candidate, teacher=other), promote_config("stale"), TAGS, unread)
    table = replace(candidate.embeddings, table=candidate.embeddings.table + 1)
    with pytest.raises(InputError, match="label_embeddings: the file is not the one"):
        promote(replace(candidate, embeddings=table), promote_config("stale"), TAGS, unread)
    assert Registry("stale").at(CHALLENGER) is None


def test_a_challenger_that_gets_test_data_gets_a_new_card_and_its_figures(run, evaluated, images, promote_config):
    candidate, registry = evaluated(images, 0.9), Registry("late")
    unlabelled = {key: candidate.metrics[key] for key in ("agreement", "digests")}
    promote(replace(candidate, metrics=unlabelled), promote_config("late", allow_unlabelled=True), TAGS, unread)
    assert promote(candidate, promote_config("late"), TAGS, unread)["champion"]
    assert "60 real test images" in registry.at(CHAMPION).description
    logged = mlflow.get_logged_model(model_id(registry.at(CHAMPION)))
    assert {metric.key: metric.value for metric in logged.metrics}["student.top1"] == 0.9
    with pytest.raises(Refused, match="is champion and stays so, but would not pass today"):
        promote(candidate, promote_config("late", least_top1=0.99), TAGS, unread)


def test_figures_of_another_student_or_teacher_are_refused_before_anything_is_registered(
    run, evaluated, images, promote_config
):
    candidate = evaluated(images, 0.9)
    for name, words in (("student", "on another student"), ("teacher", "distilled from one and compared")):
        measured = json.loads(json.dumps(candidate.metrics))
        measured["digests"][name] = "0" * 64
        with pytest.raises(InputError, match=words):
            promote(replace(candidate, metrics=measured), promote_config("foreign"), TAGS, unread)
    assert Registry("foreign").at(CHALLENGER) is None


@pytest.mark.parametrize("name", ["student", "teacher", None])
def test_costs_that_are_not_known_to_be_this_students_are_refused_before_anything_is_registered(
    name, run, evaluated, images, promote_config
):
    """An evaluation that was stopped leaves those of the student before; older ones do not say whose they are."""
    candidate = evaluated(images, 0.9)
    older = {key: value for key, value in candidate.cost.items() if key != "digests"}
    cost = {**candidate.cost, "digests": candidate.cost["digests"] | {name: "0" * 64}} if name else older
    with pytest.raises(InputError, match="^cost: its digests are not .* run kedro run --pipelines evaluate first"):
        promote(replace(candidate, cost=cost), promote_config("costs"), TAGS, unread)
    assert Registry("costs").at(CHALLENGER) is None


def test_without_real_test_data_a_student_is_refused_or_on_request_challenger_only(
    run, evaluated, images, promote_config
):
    candidate = evaluated(images, 0.9)
    unlabelled = {key: candidate.metrics[key] for key in ("agreement", "digests")}
    candidate = replace(candidate, metrics=unlabelled)
    with pytest.raises(InputError, match="promote.allow_unlabelled"):
        promote(candidate, promote_config("unlabelled"), TAGS, unread)
    result = promote(candidate, promote_config("unlabelled", allow_unlabelled=True), TAGS, unread)
    assert not result["champion"]
    registry = Registry("unlabelled")
    assert registry.at(CHAMPION) is None
    assert number(registry.at(CHALLENGER)) == result["version"]
    assert "no real test images" in registry.at(CHALLENGER).description


def test_a_hostile_class_name_is_only_text_in_the_card(run, evaluated, images, promote_config):
    candidate = evaluated(images, 0.9)
    candidate.student.class_names = ("<script>alert(1)</script>", "bee", "cat")
    promote(candidate, promote_config("hostile"), TAGS, unread)
    card = Registry("hostile").at(CHAMPION).description
    assert "<script" not in card
    assert "&lt;script&gt;" in card


def test_on_request_the_version_comes_with_an_onnx_file(run, evaluated, images, promote_config, tmp_path):
    file = tmp_path / "models" / "student.onnx"
    candidate = evaluated(images, 0.9)
    result = promote(candidate, promote_config("exported", onnx=str(file)), TAGS, unread)
    assert result["onnx"]["largest_deviation"] < 1e-4
    version = Registry("exported").at(CHAMPION)
    assert version.tags["onnx"] == digest(file)
    downloaded = mlflow.artifacts.download_artifacts(version.tags["onnx_file"])
    session = onnxruntime.InferenceSession(downloaded)
    (logits,) = session.run(None, {"pixels": images.images[:5].numpy()})
    with torch.inference_mode():
        wanted = candidate.student(to_float(images.images[:5])).numpy()
    np.testing.assert_allclose(logits, wanted, atol=1e-5)


def test_a_promoted_student_comes_back_as_a_teacher_by_its_own_file_whatever_torch_makes_of_its_format(
    store, run, evaluated, images, promote_config, tmp_path
):
    candidate = evaluated(images, 0.9)
    promote(candidate, promote_config("teaches", onnx=str(tmp_path / "student.onnx")), TAGS, unread)
    version = Registry("teaches").at(CHAMPION)
    (archive,) = (file for file in (store / "mlruns").rglob("*.pt2") if model_id(version) in str(file))
    archive.write_bytes(b"of a later torch")
    wanted = candidate.student.network.state_dict()
    beside_onnx = version.tags["onnx_file"].rpartition("/")[0]
    for uri in (f"models:/teaches/{number(version)}", f"runs:/{run.info.run_id}/onnx"):
        registered_weights.cache_clear()
        found = registered_weights(uri)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], value) for name, value in wanted.items())
    own = mlflow.artifacts.download_artifacts(f"{beside_onnx}/student.safetensors")
    assert digest(Path(own)) == version.tags["student"], "the very file that was evaluated"


def test_an_export_that_gives_other_logits_registers_nothing(
    run, evaluated, images, promote_config, tmp_path, monkeypatch
):
    monkeypatch.setattr("nayer.export.onnx.compare", lambda *_: (0.5, 1.0))
    file = tmp_path / "student.onnx"
    with pytest.raises(InputError, match=r"as ONNX gives logits off by 0\.5, where 0\.0001 is allowed"):
        promote(evaluated(images, 0.9), promote_config("broken", onnx=str(file)), TAGS, unread)
    assert not file.exists()
    assert Registry("broken").at(CHALLENGER) is None
