"""The distillation of a scenario, changed to another method."""

from typing import Any

from nayer.core.errors import unknown
from nayer.synthesis.registry import METHODS

# Kept from the scenario, as it fits the size of its images, whatever a paper chose for another size.
GENERATOR_SIZE = "generator_width"


def by_method(name: str, distill: dict[str, Any]) -> dict[str, Any]:
    """Distillation by another method: parameters that it leaves to a scenario are kept, the rest is as published.

    Raises:
        InputError: there is no such method.
    """
    if name not in METHODS:
        raise unknown("METHOD", name, METHODS)
    method = METHODS[name]
    fields = method.Config.model_fields
    open_to_scenarios = {key for key in fields if fields[key].is_required()} | ({GENERATOR_SIZE} & fields.keys())
    said = distill["synthesis"]
    synthesis = {key: value for key, value in said.items() if key in open_to_scenarios}
    # Steps that the scenario left to its own method are that method's.
    before = METHODS[said.get("method", "nayer")].Config.model_fields["steps"]  # the default is that of conf/base
    if "steps" in open_to_scenarios and not before.is_required():
        synthesis.setdefault("steps", before.default)
    student = dict(distill["student"])
    if method.alternates:
        batches = max(1, student["steps"] // method.alternates)
        synthesis |= {"batches": batches, "warmup_batches": batches}
        student["steps"] = batches * method.alternates
        student["batch_size"] = min(student["batch_size"], synthesis["batch_size"])  # a step sees no more images
    return {**distill, "synthesis": {**synthesis, "method": name}, "student": student}
