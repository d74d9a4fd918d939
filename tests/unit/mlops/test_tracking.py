"""What goes to MLflow."""

import pytest

from nayer.errors import InputError
from nayer.mlops.tracking import check_server, flatten


def test_typed_and_nested_parameters_become_dotted_keys(distill_config):
    flat = flatten({"distill": distill_config(), "seed": 3, "a": {"b": {"c": 1}}})
    assert flat["distill.synthesis.bn_weight"] == 10.0
    assert flat["distill.student.architecture"] == "wrn-10-1"
    assert (flat["seed"], flat["a.b.c"]) == (3, 1)


def test_a_dead_server_is_named_without_its_password():
    with pytest.raises(InputError) as caught:
        check_server("http://user:secret@127.0.0.1:9/prefix")
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)
