"""Processes that would not compute the same are refused."""

import pytest

from nayer.errors import InputError
from nayer.training.alike import check_alike, computing


def test_processes_that_would_not_compute_alike_are_refused(runtime):
    first = computing(runtime)
    check_alike([first, dict(first)])
    with pytest.raises(InputError, match=r"runtime\.precision: bf16 in process 1, but fp32 in the first one"):
        check_alike([{**first, "runtime.precision": "fp32"}, {**first, "runtime.precision": "bf16"}])
