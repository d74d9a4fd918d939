"""An MLflow store for each test module, and students that were evaluated."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from nayer.core.files import digest
from nayer.core.tensors import tensors_digest
from nayer.datasets import ImageSet
from nayer.evaluation import cost
from nayer.lte.embeddings import LabelEmbeddings
from nayer.mlops.registry.config import GateConfig, PromoteConfig
from nayer.mlops.registry.promotion import Candidate
from nayer.models.classifier import Classifier

LOOSE = {
    "least_top1": 0.0,
    "least_agreement": 0.0,
    "largest_file_mib": 100.0,
    "longest_latency_ms": 1e6,
    "largest_regression": 0.0,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """MLflow pointed at an empty SQLite store."""
    folder = tmp_path_factory.mktemp("store")
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment("nayer", artifact_location=(folder / "mlruns").as_uri())
    mlflow.set_experiment("nayer")
    yield folder
    mlflow.set_tracking_uri(None)


@pytest.fixture
def run(store: Path) -> Iterator[mlflow.ActiveRun]:
    """An open run in the store."""
    with mlflow.start_run() as opened:
        yield opened


@pytest.fixture
def promote_config() -> Callable[..., PromoteConfig]:
    """Builds a gate that lets everything through, apart from the limits in the keyword arguments."""

    def build(name: str, allow_unlabelled: bool = False, onnx: str | None = None, **gate: float) -> PromoteConfig:
        limits = GateConfig.model_validate({**LOOSE, **gate})
        return PromoteConfig(model_name=name, allow_unlabelled=allow_unlabelled, onnx=onnx, gate=limits)

    return build


@pytest.fixture
def images() -> ImageSet:
    """Random test data."""
    draw = torch.Generator().manual_seed(5)
    return ImageSet(
        torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8, generator=draw),
        torch.randint(0, 3, (60,), generator=draw),
    )


@pytest.fixture(scope="session")
def costs() -> Callable[[Classifier, Classifier], dict[str, Any]]:
    """Measures the cost of teacher and student, once for all pairs that are built alike."""
    known: dict[tuple[object, ...], dict[str, Any]] = {}

    def measured(teacher: Classifier, student: Classifier) -> dict[str, Any]:
        key = (teacher.architecture, student.architecture, student.class_names, student.images)
        if key not in known:
            known[key] = cost.cost(teacher, student, 0.001, {}, {})
        return copy.deepcopy(known[key])

    return measured


@pytest.fixture
def evaluated(
    teacher: Classifier, embeddings: LabelEmbeddings, tmp_path: Path, costs: Callable[..., dict[str, Any]]
) -> Callable[[ImageSet, float], Candidate]:
    """Builds a student with the given accuracy on the given images: its figures are set, all else is real."""

    def build(test: ImageSet, top1: float) -> Candidate:
        torch.manual_seed(round(1000 * top1))
        student = Classifier.build("wrn-10-1", teacher.class_names, teacher.images).eval()
        taught_by = tensors_digest(teacher.network.state_dict())
        table = tensors_digest({"table": embeddings.table})
        student.provenance = {"method": "NAYER", "teacher": taught_by, "label_embeddings": table}
        file = tmp_path / "student.safetensors"
        student.save(file)
        digests = {"student": tensors_digest(student.network.state_dict()), "teacher": taught_by}
        measured = {
            "student": {"top1": top1},
            "teacher": {"top1": 0.99},
            "agreement": top1,
            "test_images": len(test),
            "digests": {"test_data": test.digest(), **digests},
        }
        cost_of_both = {**costs(teacher, student), "digests": digests}
        return Candidate(
            student, teacher, embeddings, measured, cost_of_both, {"student": digest(file), "teacher": "t" * 64}
        )

    return build
