"""Compiled networks compute what others do, in the loop and only there; takes minutes, as each is compiled anew."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from golden import GOLDEN, SETTINGS, golden_losses

from nayer.distillation.loop import distill
from nayer.engine.compilation import compile_network
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint

pytestmark = pytest.mark.usefixtures("compiler")


class Heard(NullReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def runtime(runtime):
    return runtime.model_copy(update={"compile": True})


def test_losses_of_twenty_steps_follow_the_golden_trajectory(make_plan):
    plan = make_plan(**SETTINGS)
    assert plan.compile
    assert golden_losses(plan) == [pytest.approx(row, rel=1e-4) for row in json.loads(GOLDEN.read_text())]


def test_a_student_is_compared_by_the_same_features(make_plan, runtime):
    changes = {**SETTINGS, "student__feature_weight": 2.0}
    plan = make_plan(**changes)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    found = golden_losses(plan)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert found == [pytest.approx(row, rel=1e-4) for row in golden_losses(replace(plan, compile=False))]
    assert golden_losses(plan) == found
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2 * graphs, "no graph for every step"
    assert graphs < 20


@pytest.mark.parametrize("method", ["nayer", "fast_dfkd", "dafl"])
def test_networks_are_compiled_inside_of_the_loop_only(method, make_plan, teacher, runtime):
    plan, heard = make_plan(synthesis__method=method, epochs=1, probe_images=1), Heard()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    result = distill(plan, ResumePoint(runtime, "distill", plan.fingerprint, heard), heard)
    assert heard.said[0].startswith("Compiling the networks")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 1
    torch._dynamo.utils.counters.clear()
    for classifier in (teacher, result.student):
        classifier(torch.rand(5, 1, 8, 8))
    assert not torch._dynamo.utils.counters["stats"]


def test_hooks_that_come_and_go_are_called_while_they_are_there(teacher):
    seen, image = [], torch.rand(4, 1, 8, 8)
    network = copy.deepcopy(teacher.network)
    compile_network(network)
    plain = network(image)
    hook = network.bn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean()))
    torch.testing.assert_close(network(image), plain)
    hook.remove()
    network(image)
    assert len(seen) == 1
    torch.testing.assert_close(plain, teacher.network(image))
