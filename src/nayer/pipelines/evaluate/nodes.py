"""Adapter nodes for `nayer.evaluation`."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from nayer import datasets
from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.core.tensors import tensors_digest
from nayer.datasets.config import DataConfig
from nayer.distillation.config import DistillConfig
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import resolve_device
from nayer.engine.progress import Reporter
from nayer.evaluation import baselines, cost, figures, metrics, report
from nayer.evaluation.config import EvaluateConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.models.inference import predict
from nayer.synthesis.registry import METHODS, method_of
from nayer.synthesis.sample import SyntheticSample


def compare_models(
    teacher: Classifier,
    student: Classifier,
    probes: SyntheticSample,
    distill: DistillConfig,
    evaluate: EvaluateConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Compare student and teacher on the probe and on the real test data, if there are any."""
    check_method(student, distill)
    if teacher.images != student.images:
        raise InputError(
            "teacher.normalisation: the student learnt from a teacher that expects other images than this one "
            f"({student.images}, now {teacher.images}); set it back, or run distill again."
        )
    device, names = resolve_device(runtime), teacher.class_names

    def logits(images: Tensor) -> tuple[Tensor, Tensor]:
        taught, learnt = (predict(model, images, device, evaluate.batch_size) for model in (teacher, student))
        return taught, learnt

    for model in (teacher, student):
        check_images(probes.images, model.images, "probe_sample", "run distill again for this teacher and this student")
    synthetic = metrics.compare_unlabelled(*logits(probes.images), probes.labels, names)
    if data.dataset == datasets.NONE:
        result, test_data = synthetic, {}
    else:
        test = datasets.load_for(names, data).test
        check_images(test.images, teacher.images)
        result = metrics.compare(*logits(test.images), test.labels, names, evaluate.calibration_bins)
        # The only figure to choose a recipe by: it needs no real data, so the test data select nothing.
        result.metrics["probe_agreement"] = synthetic.metrics["agreement"]
        test_data = {"test_data": test.digest()}
    digests = {**digests_of(teacher, student), **test_data}
    return {**result.metrics, "digests": digests}, result.per_class, result.confusion


def digests_of(teacher: Classifier, student: Classifier) -> dict[str, str]:
    """Digests of what was measured, so that its figures are not taken for those of another student."""
    return {
        name: tensors_digest(model.network.state_dict()) for name, model in (("teacher", teacher), ("student", student))
    }


def check_method(student: Classifier, distill: DistillConfig) -> None:
    """Refuse parameters of a method other than the student's, as the report would name the wrong one."""
    said, made_by = distill.synthesis.method, student.provenance.get("method")
    if made_by not in (None, METHODS[said].title):
        raise InputError(
            f"distill.synthesis.method: {said}, but the student was distilled by {made_by}; set that again, or run "
            "kedro run --pipelines distill,evaluate."
        )


def check_images(
    images: Tensor,
    expected: ImageSpec,
    key: str = "data.dataset",
    way_out: str = "correct data.dataset, data.image_size or data.channels",
) -> None:
    """Refuse images of a shape that the models do not take."""
    found, wanted = tuple(images.shape[1:]), (expected.channels, expected.size, expected.size)
    if found != wanted:
        raise InputError(f"{key}: its images are {found}, but student and teacher take {wanted}; {way_out}.")


def train_baselines(
    teacher: Classifier,
    evaluate: EvaluateConfig,
    distill: DistillConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> dict[str, float]:
    """Test accuracy of the ceilings and floor that `evaluate.baselines` asks for, by name; empty by default."""
    if not evaluate.baselines:
        return {}
    real = datasets.load_for(teacher.class_names, data)
    return {
        name: baselines.accuracy_of(name, teacher, real, distill, runtime, seed, reporter)
        for name in evaluate.baselines
    }


def measure_cost(
    teacher: Classifier,
    student: Classifier,
    evaluate: EvaluateConfig,
    teacher_cost: dict[str, Any],
    distill_cost: dict[str, Any],
) -> dict[str, Any]:
    """Sizes and latencies of both models, and the cost of their training."""
    found = cost.cost(teacher, student, evaluate.latency_seconds, teacher_cost, distill_cost)
    return {**found, "digests": digests_of(teacher, student)}


def report_results(
    metrics: dict[str, Any],
    cost: dict[str, Any],
    per_class: pd.DataFrame,
    confusion: pd.DataFrame,
    baselines: dict[str, float],
    teacher_history: pd.DataFrame,
    distill_history: pd.DataFrame,
    sample: SyntheticSample,
    embeddings: LabelEmbeddings,
    student: Classifier,
    distill: DistillConfig,
    parameters: dict[str, Any],
) -> tuple[Figure, Figure, Figure, Figure, str]:
    """Four figures, and a report page with everything on it."""
    names, method = embeddings.class_names, method_of(distill.synthesis)
    drawn = {
        "training_curves": figures.training_curves(teacher_history, distill_history, method.terms(distill.synthesis)),
        "synthetic_images": figures.synthetic_images(sample.images, sample.labels, names),
        "embedding_similarity": figures.embedding_similarity(embeddings.table, names),
        "confusion_matrix": figures.confusion(
            confusion, "true class" if "student" in metrics else "teacher's prediction"
        ),
    }
    text = {"text encoder": f"{embeddings.encoder} ({embeddings.revision})", "prompt": embeddings.prompt}
    provenance = {
        "class names": ", ".join(names),
        **(text if method.needs_embeddings else {}),
        **student.provenance,
    }
    page = report.render(method, metrics, cost, per_class, baselines, drawn, parameters, provenance)
    curves, images, similarity, confusion_matrix = drawn.values()
    return curves, images, similarity, confusion_matrix, page
