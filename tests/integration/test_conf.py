"""Every scenario in conf/ loads, validates, and differs from the base only where it says so."""

from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from nayer import settings
from nayer.distillation.config import DistillConfig
from nayer.models.architectures import build_network
from nayer.synthesis.parts.generator import upsamplings
from nayer.workflow.parameters import Parameters, check_types

CONF = Path(__file__).parents[2] / "conf"
SCENARIOS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name not in ("base", "local"))


def parameters_of(scenario: str) -> dict:
    return OmegaConfigLoader(str(CONF), env=scenario, **settings.CONFIG_LOADER_ARGS)["parameters"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario_loads_and_validates(scenario):
    parameters = parameters_of(scenario)
    check_types(parameters)
    assert parameters["scenario"] == scenario
    loaded = Parameters.model_validate(parameters)
    assert set(parameters) == set(Parameters.model_fields)
    build_network(loaded.teacher.architecture, 3, 2)
    build_network(loaded.distill.student.architecture, 3, 2)
    upsamplings(loaded.data.image_size)


def test_paper_hyper_parameters_stand_in_the_scenarios_of_the_paper():
    for scenario, steps, batches, warmup, size, student in (
        ("cifar10", 30, 2, 10, 400, (512, 400, 0.2)),
        ("cifar100", 40, 2, 10, 400, (512, 400, 0.2)),
        ("tiny_imagenet", 60, 4, 20, 200, (256, 1000, 0.1)),
    ):
        distill = DistillConfig.model_validate(parameters_of(scenario)["distill"])
        synthesis = distill.synthesis
        found = (synthesis.steps, synthesis.batches, synthesis.warmup_batches, synthesis.batch_size)
        assert found == (steps, batches, warmup, size)
        assert (distill.student.batch_size, distill.student.steps, distill.student.learning_rate) == student
        assert (synthesis.ce_weight, synthesis.bn_weight, synthesis.adversarial_weight) == (0.5, 10.0, 1.33)
        assert (synthesis.learning_rate, synthesis.betas, synthesis.generator_life) == (4e-3, (0.5, 0.999), 10)
        assert (synthesis.latent, synthesis.generator_width, distill.warmup_epochs) == (1000, 64, 20)
        assert (distill.student.temperature, distill.student.weight_decay) == (20.0, 1e-4)


def test_imagenet_classes_differ_by_more_than_capitals():
    """Text encoders ignore capitals: a cardigan and a Cardigan would be the same input to the generator."""
    names = (CONF / "imagenet" / "class_names.txt").read_text().splitlines()
    assert len(names) == len({name.casefold() for name in names}) == 1000
