"""Fixtures that many tests share: a tiny teacher, a tiny schedule, one thread."""

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from nayer.core.images import ImageSpec
from nayer.distillation.build import build_method
from nayer.distillation.config import DistillConfig
from nayer.distillation.launch import Job
from nayer.distillation.plan import Plan, plan
from nayer.engine.config import RuntimeConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier, freeze
from nayer.synthesis.method import Method

PROJECT = Path(__file__).parents[1]
CLASSES = ("ant", "bee", "cat")
IMAGES = ImageSpec(8, 1, (0.3,), (0.4,))


def scenario_parameters(scenario: str, group: str) -> dict[str, Any]:
    """One group of parameters as Kedro merges it."""
    files = [PROJECT / "conf" / part / f"parameters_{group}.yml" for part in ("base", scenario)]
    OmegaConf.register_new_resolver("globals", {"scenario": scenario}.__getitem__, replace=True)
    merged = OmegaConf.merge(*(OmegaConf.load(file) for file in files if file.exists()))
    return OmegaConf.to_container(merged, resolve=True)[group]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-golden", action="store_true", help="write the golden losses anew, where their test runs")


@pytest.fixture
def read_parameters() -> Callable[[str, str], dict[str, Any]]:
    return scenario_parameters


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def compiler() -> None:
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler")


@pytest.fixture
def teacher() -> Classifier:
    torch.manual_seed(1)
    made = Classifier.build("wrn-10-1", CLASSES, IMAGES)
    made.train()
    with torch.no_grad():
        made(torch.rand(64, 1, 8, 8))  # BatchNorm statistics that are not the initial ones
    return made.eval()


@pytest.fixture
def embeddings() -> LabelEmbeddings:
    table = torch.randn(3, 6, generator=torch.Generator().manual_seed(2))
    return LabelEmbeddings(table, CLASSES, "random", "seed 2", "unused")


@pytest.fixture
def distill_config() -> Callable[..., DistillConfig]:
    """Builds the configuration of the test scenario; keyword arguments such as synthesis__steps=1 change it."""

    def build(**changes: Any) -> DistillConfig:
        values = copy.deepcopy(scenario_parameters("test", "distill"))
        for key, value in changes.items():
            *groups, name = key.split("__")
            place = values
            for group in groups:
                place = place[group]
            place[name] = value
        return DistillConfig(**values)

    return build


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeConfig:
    return RuntimeConfig(
        device="cpu",
        precision="fp32",
        compile=False,
        threads=1,
        processes=1,
        machines=1,
        address=None,
        memory_gib=4,
        resume="auto",
        resume_folder=str(tmp_path / "resume"),
        checkpoint_seconds=1e9,
    )


@pytest.fixture
def make_plan(teacher, embeddings, distill_config, runtime) -> Callable[..., Plan]:
    """The plan of a tiny distillation; keyword arguments change its configuration."""

    def build(seed: int = 5, **changes: Any) -> Plan:
        return plan(teacher, embeddings, distill_config(**changes), runtime, seed)

    return build


@pytest.fixture
def make_method(make_plan, teacher) -> Callable[..., Method[Any]]:
    """A method by name on the tiny teacher, which is frozen."""

    def build(name: str, **changes: Any) -> Method[Any]:
        made = make_plan(synthesis__method=name, **changes)
        torch.manual_seed(4)
        return build_method(made, freeze(teacher))

    return build


@pytest.fixture
def job(teacher, embeddings, runtime) -> Callable[[DistillConfig, int], Job]:
    """Builds the job of a distillation by several processes."""

    def build(config: DistillConfig, processes: int) -> Job:
        several: RuntimeConfig = runtime.model_copy(update={"processes": processes})
        return Job(teacher, embeddings, config, several, 7)

    return build
