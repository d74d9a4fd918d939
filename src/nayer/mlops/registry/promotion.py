"""Promotion: register an evaluated student as a model version, and make it `champion` if it passes the gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import torch
from mlflow.entities.model_registry import ModelVersion

from nayer.core.errors import InputError, Refused, first_line
from nayer.core.files import digest
from nayer.core.tensors import tensors_digest
from nayer.datasets import ImageSet
from nayer.evaluation.int8_report import difference, rows
from nayer.evaluation.metrics import share
from nayer.export.onnx import OnnxFile, to_onnx
from nayer.lte.embeddings import LabelEmbeddings
from nayer.mlops.registry.config import PromoteConfig
from nayer.mlops.registry.gate import checks
from nayer.mlops.registry.model_card import render_card
from nayer.mlops.registry.packaging import WEIGHTS, log_student
from nayer.mlops.registry.versions import CHALLENGER, CHAMPION, Registry, logged_model, number
from nayer.models.classifier import Classifier
from nayer.models.inference import BATCH_SIZE

INT8 = "int8.onnx"


@dataclass(frozen=True)
class Int8:
    """An INT8 ONNX file with its measurements."""

    file: OnnxFile
    metrics: Mapping[str, Any]
    """The content of int8_metrics.json."""
    cost: Mapping[str, Any]
    """The content of int8_cost.json."""

    @property
    def of_student(self) -> bool:
        """Whether the file holds the student; a quantised teacher is never part of a version."""
        return bool(self.metrics["model"] == "student")

    @property
    def passed(self) -> bool:
        """Whether the file passes the gate of `quantize` (quantize.gate.largest_loss)."""
        return bool(self.metrics["loss_points"] <= self.metrics["largest_loss"])


@dataclass(frozen=True)
class Candidate:
    """A student with everything that was measured about it."""

    student: Classifier
    teacher: Classifier
    embeddings: LabelEmbeddings
    metrics: Mapping[str, Any]
    """The content of metrics.json."""
    cost: Mapping[str, Any]
    """The content of cost.json."""
    digests: Mapping[str, str]
    """sha256 of the files of student, teacher, label embeddings and metrics."""
    int8: Int8 | None = None
    """The INT8 file, if `quantize` made one; it joins the version only if it holds the student and passed its gate."""

    @property
    def labelled(self) -> bool:
        """Whether it was evaluated on real test data."""
        return "student" in self.metrics

    @property
    def figures(self) -> dict[str, float]:
        """Figures that the gate checks, by metric name."""
        of_student = self.cost["student"]
        figures = {
            "agreement": self.metrics["agreement"],
            "file_mib": of_student["file_bytes"] / 2**20,
            "latency_ms_batch_1": of_student["latency_ms_batch_1"],
        }
        return figures | ({"student.top1": self.metrics["student"]["top1"]} if self.labelled else {})


def promote(
    candidate: Candidate, config: PromoteConfig, tags: Mapping[str, str], test: Callable[[], ImageSet]
) -> dict[str, Any]:
    """Register the candidate as challenger, and make it champion if it passes the gate.

    `test` loads the test data; it is called only if the champion was evaluated on different data.

    Raises:
        InputError: the figures belong to another student, lack real test data although these are required, or the
            champion cannot be measured on the candidate's test data; nothing is registered.
        Refused: the candidate fails the gate, or another champion was made meanwhile; it stays registered as
            challenger.
    """
    check_evaluated(candidate, config)
    registry = Registry(config.model_name)
    champion = registry.at(CHAMPION)
    to_beat = None
    if candidate.labelled and champion and champion.tags.get("student") != candidate.digests["student"]:
        to_beat = champion_top1(champion, candidate, test)
    # Export before anything is registered, so that a failure leaves the registry unchanged.
    deviation = None
    if config.onnx:
        exported, deviation = to_onnx(candidate.student)
        exported.save(Path(config.onnx))
    version = register(candidate, registry, tags)
    registry.point(CHALLENGER, version)
    result = {"model": config.model_name, "version": version, "champion": False, "gate": []}
    if config.onnx:
        log_onnx(candidate.student, config.onnx)
        where = mlflow.get_artifact_uri(f"onnx/{Path(config.onnx).name}")
        registry.tag(version, {"onnx": digest(Path(config.onnx)), "onnx_file": where})
        result["onnx"] = {"file": config.onnx, "largest_deviation": deviation}
    if candidate.int8:
        result["int8"] = take_along(candidate.int8, registry, version)
    if not candidate.labelled:
        return result
    found = checks(config.gate, candidate.figures, to_beat)
    present = registry.at(CHAMPION)  # another machine may have promoted since
    missed = "; ".join(str(check) for check in found if not check.passed) or changed(champion, present, version)
    registry.tag(version, {"gate": f"refused: {missed}" if missed else "passed"})
    if missed:
        raise Refused(f"Version {version} of '{config.model_name}' {standing(version, present)}: {missed}.")
    if present is None or number(present) != version:
        registry.promote(version)
    return {**result, "champion": True, "gate": [str(check) for check in found]}


def log_onnx(student: Classifier, file: str) -> None:
    """Log the ONNX file as an artefact of the run, with the classifier file beside it."""
    mlflow.log_artifact(file, "onnx")
    with TemporaryDirectory() as folder:
        weights = Path(folder, WEIGHTS)
        student.save(weights)
        mlflow.log_artifact(str(weights), "onnx")


def take_along(int8: Int8, registry: Registry, version: str) -> str:
    """Attach the INT8 file to the version if it is the student's and passed its gate; returns the outcome as text."""
    if not int8.of_student:
        return f"{INT8} is the teacher's and no part of this version (quantize.model)"
    came_of_it = difference(int8.metrics["loss_points"])
    if not int8.passed:
        largest = int8.metrics["largest_loss"]
        said = f"refused: {came_of_it}, over the {largest:g} allowed (quantize.gate.largest_loss)"
        registry.tag(version, {"int8": said})
        registry.untag(version, "int8_file", "int8_loss_points")  # left by an earlier file that passed
        return said
    with TemporaryDirectory() as folder:
        file = Path(folder, INT8)
        int8.file.save(file)
        where = registry.attach(version, file)
    loss = f"{int8.metrics['loss_points']:.2f}"
    registry.tag(version, {"int8": int8.file.digest, "int8_file": where, "int8_loss_points": loss})
    return f"passed: {came_of_it}; it is {where}"


def changed(judged: ModelVersion | None, present: ModelVersion | None, version: str) -> str:
    """What to do if the champion is no longer the one that the version was judged against, unless it is the version."""
    before, after = (champion and number(champion) for champion in (judged, present))
    if after in (before, version):
        return ""
    return "the champion changed while this student was judged; run kedro run --pipelines promote again"


def standing(version: str, champion: ModelVersion | None) -> str:
    """Status of a refused version and of the champion, as part of a sentence."""
    if champion is None:
        return "stays challenger, with no champion"
    if number(champion) == version:
        return "is champion and stays so, but would not pass today"
    return f"stays challenger and version {champion.version} champion"


def check_evaluated(candidate: Candidate, config: PromoteConfig) -> None:
    """Refuse figures or files that do not belong to this student, or figures without real test data unless allowed."""
    student, metrics = candidate.student, candidate.metrics
    measured = metrics.get("digests", {})
    if measured.get("student") != tensors_digest(student.network.state_dict()):
        raise InputError(
            "metrics: measured on another student than the file; run kedro run --pipelines evaluate first."
        )
    if measured.get("teacher") != student.provenance.get("teacher"):
        raise InputError(
            "teacher: the student was distilled from one and compared with another; run kedro run --pipelines "
            "distill,evaluate first."
        )
    # A stopped evaluation leaves new metrics beside old costs, and older costs have no digests.
    if candidate.cost.get("digests") != {name: measured.get(name) for name in ("teacher", "student")}:
        raise InputError(
            "cost: its digests are not those of this student and its teacher, or it has none; run kedro run "
            "--pipelines evaluate first."
        )
    learnt_from = {"teacher": tensors_digest(candidate.teacher.network.state_dict())}
    if "label_embeddings" in student.provenance:  # some methods use none
        learnt_from["label_embeddings"] = tensors_digest({"table": candidate.embeddings.table})
    for name, found in learnt_from.items():
        if student.provenance.get(name) != found:
            raise InputError(
                f"{name}: the file is not the one the student learnt from; run kedro run --pipelines distill,evaluate "
                "first, or restore the old file (dvc checkout)."
            )
    if candidate.int8 and candidate.int8.of_student:
        check_int8(candidate.int8, measured["student"])
    if not candidate.labelled and not config.allow_unlabelled:
        raise InputError(
            "promote.allow_unlabelled: false, and the student was not evaluated on real test data; give some "
            "(data.folder) and evaluate again, or set true for a challenger that cannot become champion."
        )


def check_int8(int8: Int8, student: str) -> None:
    """Refuse an INT8 file made from another student, or figures measured on another file."""
    measured = int8.metrics["digests"], int8.cost.get("digests")
    if measured != ({"model": student, "int8": int8.file.digest}, {"int8": int8.file.digest}):
        raise InputError(
            "int8: the file or its figures are not this student's; run kedro run --pipelines quantize, or "
            "remove int8.onnx to promote without it."
        )


def register(candidate: Candidate, registry: Registry, tags: Mapping[str, str]) -> str:
    """Register the candidate, or update the tags of the version that holds it already; returns the version number."""
    measured = candidate.metrics["digests"]
    origin = {
        **tags,
        **{name: digest for name, digest in candidate.digests.items() if name != "metrics"},
        "test_data": measured.get("test_data", ""),
    }
    described = {**origin, **{name: repr(value) for name, value in candidate.figures.items()}}
    int8 = candidate.int8
    in_card = {}
    if int8 and int8.of_student and int8.passed:
        in_card = {"int8": list(rows(int8.metrics, int8.cost)), "processor": int8.cost["machine"]["processor"]}
    description = render_card(
        registry.name, candidate.student, candidate.embeddings, candidate.metrics, candidate.cost, origin, **in_card
    )
    held = registry.holding(candidate.digests["student"])
    if held and registry.loadable(number(held)):
        version, model_id = number(held), logged_model(held)
        registry.describe(version, description)
        registry.tag(version, described)
    else:
        logged = log_student(candidate.student)
        model_id = logged.model_id
        version = registry.add(logged.model_uri, model_id, logged.run_id, description, described)
    mlflow.log_metrics(candidate.figures, model_id=model_id)
    runs = registry.mark_runs(version, candidate.digests)
    registry.tag(version, {f"run.{output}": run_id for output, run_id in runs.items()})
    return version


def champion_top1(champion: ModelVersion, candidate: Candidate, test: Callable[[], ImageSet]) -> float:
    """Top-1 accuracy of the champion on the candidate's test data: from its tag, or measured again from its files.

    Raises:
        InputError: its files are gone, its classes or image shape differ, or the test data have changed.
    """
    test_data = candidate.metrics["digests"]["test_data"]
    if champion.tags.get("test_data") == test_data:
        return float(champion.tags["student.top1"])
    try:
        model = mlflow.pyfunc.load_model(f"models:/{champion.name}/{champion.version}")
    except Exception as error:  # a damaged file may raise anything
        raise InputError(
            f"promote: the champion, version {champion.version} of '{champion.name}', was evaluated on other test data "
            f"and its files cannot be loaded ({first_line(error)}); restore them, roll back "
            "(kedro run --pipelines rollback), or remove its alias on the MLflow page."
        ) from error
    names, shape = list(candidate.student.class_names), candidate.student.images
    champions = list((model.metadata.metadata or {}).get("class_names", names))
    expected = tuple(model.metadata.signature.inputs.inputs[0].shape[1:])
    if sorted(champions) != sorted(names) or expected != (shape.channels, shape.size, shape.size):
        raise InputError(
            f"promote.model_name: version {champion.version} of '{champion.name}', the champion, knows other "
            "classes or takes other images than this student: the two cannot be compared; give this one another name."
        )
    images = test()
    if images.digest() != test_data:
        raise InputError("data: the test data differ from those of metrics.json; evaluate again first.")
    # The champion may have the same classes in another order.
    order = torch.tensor([champions.index(name) for name in names])
    hits = [
        torch.from_numpy(model.predict(batch.numpy()))[:, order].argmax(1) == labels
        for batch, labels in zip(images.images.split(BATCH_SIZE), images.labels.split(BATCH_SIZE), strict=True)
    ]
    return share(torch.cat(hits))
