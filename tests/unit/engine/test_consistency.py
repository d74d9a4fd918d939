"""Processes that would not compute the same results are refused."""

import pytest

from nayer.core.errors import InputError
from nayer.engine.consistency import check_consistent, describe_process


def test_processes_that_would_not_compute_alike_are_refused(runtime):
    first = describe_process(runtime)
    check_consistent([first, dict(first)])
    with pytest.raises(InputError, match=r"runtime\.precision: bf16 in process 1, but fp32 in the first one"):
        check_consistent([{**first, "runtime.precision": "fp32"}, {**first, "runtime.precision": "bf16"}])
