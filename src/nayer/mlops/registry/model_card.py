"""The model card of a registered version: what someone who finds it in the registry needs to know."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from nayer.core.formats import count, decimal, percent
from nayer.evaluation.templates import fill
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier

ROOM_FOR_NAMES = 1000  # characters, of the 5,000 that MLflow keeps


def listed(names: Sequence[str]) -> list[str]:
    """The first class names, as many as there is room for, and where to find the others."""
    ends = accumulate(len(name) + len(", ") for name in names)
    first = [name for name, end in zip(names, ends, strict=True) if end <= ROOM_FOR_NAMES]
    others = len(names) - len(first)
    return [*first, f"and {count(others)} more: `class_names` in the metadata of the model"] if others else first


def render_card(
    name: str,
    student: Classifier,
    embeddings: LabelEmbeddings,
    metrics: Mapping[str, Any],
    cost: Mapping[str, Any],
    origin: Mapping[str, str],
    int8: Sequence[tuple[str, list[str]]] = (),
    processor: str = "",
) -> str:
    """Model card as Markdown, from the figures of `evaluate` and those of an INT8 file, measured on `processor`."""
    models = ("teacher", "student")
    rows = [
        ["parameters", *(count(cost[model]["parameters"]) for model in models)],
        ["multiply-adds per image", *(count(cost[model]["macs"]) for model in models)],
        ["file, KiB", *(decimal(cost[model]["file_bytes"] / 1024) for model in models)],
        ["one image on the CPU, ms", *(decimal(cost[model]["latency_ms_batch_1"]) for model in models)],
        ["agreement", "", percent(metrics["agreement"])],
    ]
    evaluated_on = "Evaluated on synthetic probes only: there were no real test images."
    if "student" in metrics:
        rows.insert(0, ["top-1 accuracy", *(percent(metrics[model]["top1"]) for model in models)])
        evaluated_on = f"Evaluated on {count(metrics['test_images'])} real test images that selected nothing."
    return fill(
        "nayer.mlops.registry",
        "model_card.md.j2",
        name=name,
        architecture=student.architecture,
        teacher_architecture=cost["teacher"]["architecture"],
        method=student.provenance.get("method", "an unknown method"),
        classes=len(student.class_names),
        listed=listed(student.class_names),
        channels=student.images.channels,
        size=student.images.size,
        parameters_ratio=decimal(cost["ratio"]["parameters"]),
        macs_ratio=decimal(cost["ratio"]["macs"]),
        rows=rows,
        evaluated_on=evaluated_on,
        encoder=f"the text encoder {embeddings.encoder}" if "label_embeddings" in student.provenance else None,
        origin=origin,
        int8=[[name, *values] for name, values in int8],
        processor=processor,
    )
