"""An INT8 file goes along with the version of its student, if it passed its own gate."""

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from nayer.core.errors import InputError
from nayer.core.formats import TIMES
from nayer.datasets import ImageSet
from nayer.export.onnx import OnnxFile
from nayer.mlops.registry.promotion import Candidate, Int8, promote
from nayer.mlops.registry.versions import CHALLENGER, CHAMPION, Registry

TAGS = {"scenario": "test"}


def unread() -> ImageSet:
    raise AssertionError("the test data were read again without need")


@pytest.fixture
def with_int8(evaluated, images):
    """Builds a candidate with an INT8 file that lost the given points, where one is allowed."""

    def build(loss: float, **digests: str) -> Candidate:
        candidate = evaluated(images, 0.9)
        file = OnnxFile(b"eight bits")
        figures = {"agreement": 0.9, "top1": 0.9, "file_bytes": 1000}
        times = {"latency_ms_batch_1": 1.0, "latency_ms_batch_64": 2.0}
        metrics = {
            "fp32": figures,
            "int8": {**figures, "file_bytes": 250},
            "loss_points": loss,
            "largest_loss": 1.0,
            "model": "student",
            "digests": {"model": candidate.metrics["digests"]["student"], "int8": file.digest, **digests},
        }
        cost = {"fp32": times, "int8": times, "machine": {"processor": "a CPU"}, "digests": {"int8": file.digest}}
        return replace(candidate, int8=Int8(file, metrics, cost))

    return build


def test_an_int8_file_goes_along_with_its_version_and_stands_in_the_card(run, with_int8, promote_config):
    candidate = with_int8(0.25)
    result = promote(candidate, promote_config("eight"), TAGS, unread)
    version = Registry("eight").at(CHAMPION)
    assert version.tags["int8"] == candidate.int8.file.digest
    assert version.tags["int8_loss_points"] == "0.25"
    assert Path(mlflow.artifacts.download_artifacts(version.tags["int8_file"])).read_bytes() == b"eight bits"
    whole = Path(mlflow.artifacts.download_artifacts(f"models:/eight/{version.version}"))
    assert (whole / "int8.onnx").read_bytes() == b"eight bits", "it travels with its version"
    assert mlflow.pyfunc.load_model(f"models:/eight/{version.version}")
    assert "## In INT8" in version.description
    assert "Latencies are of one thread of a CPU." in version.description
    assert f"| File, KiB | 0.977 | 0.244 | 4.0{TIMES} smaller |" in version.description
    assert result["int8"].startswith("passed: 0.25 points lost")


def test_an_int8_file_that_lost_too_much_stays_behind_and_its_student_does_not(run, with_int8, promote_config):
    result = promote(with_int8(1.5), promote_config("too-coarse"), TAGS, unread)
    version = Registry("too-coarse").at(CHAMPION)
    assert result["int8"] == version.tags["int8"]
    assert version.tags["int8"] == ("refused: 1.50 points lost, over the 1 allowed (quantize.gate.largest_loss)")
    assert "int8_file" not in version.tags
    assert "INT8" not in version.description


def test_a_later_int8_file_that_lost_too_much_takes_the_tags_of_the_earlier_away(run, with_int8, promote_config):
    for loss in (0.25, 1.5):
        promote(with_int8(loss), promote_config("once-fine"), TAGS, unread)
    tags = Registry("once-fine").at(CHAMPION).tags
    assert tags["int8"].startswith("refused: 1.50 points lost")
    assert not {"int8_file", "int8_loss_points"} & tags.keys()


def test_an_int8_file_that_is_better_than_its_original_is_told_so(run, with_int8, promote_config):
    result = promote(with_int8(-0.12), promote_config("gained"), TAGS, unread)
    assert result["int8"].startswith("passed: 0.12 points gained; it is ")
    assert Registry("gained").at(CHAMPION).tags["int8_loss_points"] == "-0.12"


def test_an_int8_file_of_the_teacher_stays_behind_and_stands_in_no_students_way(run, with_int8, promote_config):
    candidate = with_int8(0.0, model="the teacher's")
    candidate.int8.metrics["model"] = "teacher"
    result = promote(candidate, promote_config("of-the-teacher"), TAGS, unread)
    version = Registry("of-the-teacher").at(CHAMPION)
    assert result["champion"]
    assert result["int8"] == "int8.onnx is the teacher's and no part of this version (quantize.model)"
    assert not [tag for tag in version.tags if tag.startswith("int8")]
    assert "INT8" not in version.description


@pytest.mark.parametrize("digests", [{"model": "another"}, {"int8": "another"}])
def test_an_int8_file_of_another_student_registers_nothing(run, with_int8, promote_config, digests):
    with pytest.raises(InputError, match="^int8: the file or its figures are not this student's; run kedro run"):
        promote(with_int8(0.0, **digests), promote_config("not-its-own"), TAGS, unread)
    assert Registry("not-its-own").at(CHALLENGER) is None


@pytest.mark.parametrize("digests", [{}, {"digests": {"int8": "another"}}])
def test_latencies_that_are_not_known_to_be_the_int8_files_register_nothing(run, with_int8, promote_config, digests):
    candidate = with_int8(0.0)
    cost = {key: value for key, value in candidate.int8.cost.items() if key != "digests"} | digests
    with pytest.raises(InputError, match="^int8: the file or its figures are not this student's"):
        promote(replace(candidate, int8=replace(candidate.int8, cost=cost)), promote_config("slow-int8"), TAGS, unread)
    assert Registry("slow-int8").at(CHALLENGER) is None
