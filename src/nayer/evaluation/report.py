"""One HTML file that shows everything and needs nothing else."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure

BASELINES = {
    "real": ("Ceiling: the same student trained on the real labels", "same recipe and number of steps"),
    "kd_real": ("Distilled on the real images", "what the teacher could pass on with its data"),
    "kd_noise": ("Floor: distilled on uniform noise", "what synthesis is worth is the distance from here"),
}
CAPTIONS = {
    "training_curves": "How teacher and student learnt. The student never saw a real image.",
    "synthetic_images": "Images that the generator made from class names and teacher alone (the newest of the memory).",
    "confusion_matrix": "Where the student errs on the test data.",
    "embedding_similarity": "How near the class names are to each other for the text encoder.",
}


def render(
    scenario: str,
    metrics: Mapping[str, Any],
    cost: Mapping[str, Any],
    per_class: pd.DataFrame,
    baselines: Mapping[str, float],
    figures: Mapping[str, Figure],
    parameters: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> str:
    """The report as HTML; every text from outside is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nayer.evaluation", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["duration"] = duration
    return environment.get_template("report.html.j2").render(
        scenario=scenario,
        metrics=metrics,
        cost=cost,
        rows=per_class.to_dict("records"),
        baselines=[(*BASELINES[name], value) for name, value in baselines.items()],
        figures=[(name, CAPTIONS[name], as_data_uri(figures[name])) for name in CAPTIONS],
        parameters=parameters,
        provenance=provenance,
    )


def as_data_uri(figure: Figure) -> str:
    """A figure as an inline PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def duration(seconds: float) -> str:
    """A time as people say it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
