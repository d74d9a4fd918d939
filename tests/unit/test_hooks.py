"""What the hooks do with what stands in the parameters."""

from pathlib import Path
from types import SimpleNamespace

from kedro.config import OmegaConfigLoader

from nayer import settings
from nayer.hooks import ProjectHooks
from nayer.models import architectures

PROJECT = Path(__file__).parents[2]


def test_code_that_the_parameters_name_is_trusted_and_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(architectures, "_trusted", set())
    loader = OmegaConfigLoader(str(PROJECT / "conf"), env="test", **settings.CONFIG_LOADER_ARGS)
    parameters = loader["parameters"]
    parameters["teacher"]["architecture"] = "my_network:Teacher"
    parameters["distill"]["student"]["architecture"] = "my_network:Student"
    told = {"parameters": parameters, "mlflow": loader["mlflow"]}
    ProjectHooks().after_context_created(SimpleNamespace(project_path=tmp_path, config_loader=told, params=parameters))
    names = ("my_network:Teacher", "my_network:Student", "my_network:Other", "os:system", "wrn-16-1", "timm:resnet18")
    assert [architectures.may_run(name) for name in names] == [True, True, False, False, True, True]
