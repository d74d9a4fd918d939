"""Another method keeps a scenario's steps and batches, also those that its own method has by default."""

import pytest

from nayer.scenarios.method import by_method
from nayer.synthesis.methods.cmi import CmiConfig


@pytest.mark.parametrize(("said", "steps"), [({}, CmiConfig.model_fields["steps"].default), ({"steps": 7}, 7)])
def test_steps_are_those_of_the_scenario_or_the_default_of_its_method(said, steps):
    synthesis = {"method": "cmi", "batch_size": 8, "batches": 1, "warmup_batches": 1, **said}
    assert by_method("nayer", {"synthesis": synthesis, "student": {}})["synthesis"]["steps"] == steps
