"""What a run writes to MLflow."""

import os
import sys

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from nayer.core.errors import InputError, first_line
from nayer.core.nested import flatten
from nayer.mlops.tracking.run import answering, source_tags
from nayer.mlops.tracking.store import check_server, point_to_store, without_credentials


def test_typed_and_nested_parameters_become_dotted_keys(distill_config):
    flat = flatten({"distill": distill_config(), "seed": 3, "a": {"b": {"c": 1}}})
    assert flat["distill.synthesis.bn_weight"] == 10.0
    assert flat["distill.student.architecture"] == "wrn-10-1"
    assert (flat["seed"], flat["a.b.c"]) == (3, 1)


def test_a_machine_without_git_records_no_commit(tmp_path, monkeypatch):
    (tmp_path / "dvc.lock").touch()
    monkeypatch.setitem(sys.modules, "git", None)
    assert set(source_tags(tmp_path, "digits")) == {"dvc_lock"}


def test_a_dead_server_is_named_without_its_password():
    with pytest.raises(InputError) as caught:
        check_server("http://user:secret@127.0.0.1:9/prefix")
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_library_says_is_repeated_without_a_password():
    assert (
        first_line(OSError("no answer of http://user:secret@host:80/api.\nmore")) == "no answer of http://host:80/api"
    )


def test_an_experiment_of_dvc_in_a_temporary_folder_is_recorded_where_the_project_is(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    point_to_store(tmp_path / "copy", "sqlite:///mlflow.db")
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/project/mlflow.db"
    mlflow.set_tracking_uri(None)


def test_a_password_in_the_address_goes_where_mlflow_does_not_print_it(monkeypatch):
    for name in ("URI", "USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    plain = without_credentials("https://some%40one:p%2Fw:d@host:80/prefix")
    assert plain == os.environ["MLFLOW_TRACKING_URI"] == "https://host:80/prefix"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("some@one", "p/w:d")


@pytest.mark.parametrize("half", ["tok3n", "user:", ":tok3n"])
def test_half_of_the_credentials_are_refused_and_not_repeated(half):
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI: .*both") as caught:
        without_credentials(f"https://{half}@host")
    assert "tok3n" not in str(caught.value)


def test_a_store_that_refuses_is_one_sentence_and_ends_the_run(monkeypatch):
    ended = []
    monkeypatch.setattr("nayer.mlops.tracking.run.end", ended.append)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI: .*no rights"), answering():
        raise MlflowException("no rights")
    assert ended == ["FAILED"]


def test_a_store_in_a_database_is_named_without_its_password(monkeypatch):
    monkeypatch.setattr("nayer.mlops.tracking.run.end", lambda status: None)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "postgresql://bob:s3cret@db.example/mlflow")
    with pytest.raises(InputError, match=r"postgresql://db\.example") as caught, answering():
        raise MlflowException("no rights")
    assert "s3cret" not in str(caught.value)
