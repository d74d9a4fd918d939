"""Teachers in an MLflow store: models logged as data are read, those logged as a pickle are refused."""

import mlflow
import numpy as np
import pytest
import torch

from nayer.core.errors import InputError
from nayer.mlops.registry.packaging import log_student
from nayer.mlops.registry.teachers import pinned, registered_description, registered_weights
from nayer.models.architectures import build_network
from nayer.models.classifier import Classifier
from nayer.models.weights import fit

EXAMPLE = np.zeros((2, 1, 8, 8), np.float32)


@pytest.fixture(autouse=True)
def _no_memory():
    registered_weights.cache_clear()


def logged(serialization_format: str, **more: object) -> str:
    """Log a version of the model `shop`, as somebody without this project would; returns its address."""
    torch.manual_seed(0)
    network = build_network("wrn-10-1", 1, 3).eval()
    with mlflow.start_run():
        made = mlflow.pytorch.log_model(
            network,
            name="model",
            registered_model_name="shop",
            serialization_format=serialization_format,
            input_example=EXAMPLE,
            pip_requirements=["torch"],
            signature=mlflow.models.infer_signature(EXAMPLE, np.zeros((2, 3), np.float32)),
            **more,
        )
    mlflow.MlflowClient().set_registered_model_alias("shop", "live", made.registered_model_version)
    return f"models:/shop/{made.registered_model_version}"


def test_a_foreign_pt2_model_gives_its_weights_and_its_image_size(store):
    uri = logged("pt2", metadata={"class_names": ["ant", "bee", "cat"]})
    torch.manual_seed(0)
    wanted = build_network("wrn-10-1", 1, 3).state_dict()
    found = registered_weights(uri)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    about = registered_description("models:/shop@live")
    assert about.weights == uri, "an alias may move, a version does not"
    assert (about.class_names, about.image_size, about.architecture) == (("ant", "bee", "cat"), 8, None)


def test_a_pickled_model_is_refused_with_the_way_out(store):
    with pytest.raises(InputError, match=r"holds more than weights .* never run here.*state_dict"):
        registered_weights(logged("pickle"))


def test_a_student_of_ours_can_be_the_next_teacher(store, teacher):
    with mlflow.start_run():
        uri = log_student(teacher).model_uri
    about = registered_description(uri)
    assert (about.architecture, about.class_names, about.image_size) == ("wrn-10-1", teacher.class_names, 8)
    assert (about.mean, about.std) == (teacher.images.mean, teacher.images.std)
    network = build_network("wrn-10-1", 1, 3)
    fit(network, registered_weights(uri), uri, "teacher.weights")
    assert torch.equal(network.state_dict()["head.weight"], teacher.network.state_dict()["head.weight"])


def test_a_state_dict_among_the_files_of_a_run_is_found(store, tmp_path):
    torch.save(build_network("wrn-10-1", 1, 3).state_dict(), tmp_path / "weights.pth")
    (tmp_path / "notes.txt").write_text("of last year")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path), "checkpoint")
    assert registered_weights(f"runs:/{run.info.run_id}/checkpoint").keys()
    torch.save({}, tmp_path / "other.pth")
    with mlflow.start_run(run.info.run_id):
        mlflow.log_artifact(str(tmp_path / "other.pth"), "checkpoint")
    registered_weights.cache_clear()
    with pytest.raises(InputError, match=r"several files of weights \(other.pth, weights.pth\)"):
        registered_weights(f"runs:/{run.info.run_id}/checkpoint")
    assert registered_weights(f"runs:/{run.info.run_id}/checkpoint/weights.pth").keys()


@pytest.mark.parametrize("uri", ["models:/absent/1", "models:/absent@champion", "runs:/absent/model"])
def test_what_is_not_there_is_named(uri, store):
    with pytest.raises(InputError, match=f"'{uri}' cannot be fetched .*MLFLOW_TRACKING_URI"):
        registered_weights(pinned(uri))


@pytest.mark.parametrize(
    "content",
    ["{", "[1, 2]", "!!python/object/apply:os.abort []", "metadata: [1]\nflavors: 7", "flavors: {}\nmetadata: 7"],
)
def test_a_description_that_is_damaged_or_holds_code_is_named(content, store, tmp_path):
    (tmp_path / "MLmodel").write_text(content)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path), "odd")
    with pytest.raises(InputError, match="the file MLmodel of 'runs:/.*/odd' is damaged"):
        registered_description(f"runs:/{run.info.run_id}/odd")


def test_an_architecture_that_is_no_text_is_not_told(store, tmp_path):
    (tmp_path / "MLmodel").write_text("flavors: {}\nmetadata: {architecture: 7, mean: 3}")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path), "odd")
    about = registered_description(f"runs:/{run.info.run_id}/odd")
    assert (about.architecture, about.mean) == (None, None)


def test_a_student_comes_back_by_its_safetensors_without_torchs_own_format(store, teacher):
    with mlflow.start_run():
        uri = log_student(teacher).model_uri
    (archive,) = [file for file in store.rglob("*.pt2") if uri.rpartition("/")[2] in str(file)]
    (own,) = archive.parents[1].rglob("student.safetensors")
    logits = mlflow.pyfunc.load_model(uri).predict(np.full((3, 1, 8, 8), 7, np.uint8))
    with torch.no_grad():
        np.testing.assert_allclose(logits, teacher(torch.full((3, 1, 8, 8), 7 / 255)), rtol=1e-5, atol=1e-5)
    archive.write_bytes(b"of a later torch")
    found, wanted = registered_weights(uri), teacher.network.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert Classifier.load(own).class_names == teacher.class_names
