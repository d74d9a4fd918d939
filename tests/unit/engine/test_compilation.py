"""Networks compiled by torch.compile, and what happens where that is impossible."""

import os
import signal

import pytest
import torch

from nayer.core.errors import Interrupted
from nayer.engine.compilation import compiling


@pytest.fixture
def _stopping():
    def stop(*_):
        raise Interrupted("Stopped.", signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def stopped(torch_then):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Interrupted as stop:
        torch_then(stop)


def fails(stop):
    raise torch._inductor.exc.InductorError(stop, None)


def goes_on(stop):
    pass


@pytest.mark.usefixtures("_stopping")
@pytest.mark.parametrize("torch_then", [fails, goes_on])
def test_a_stop_that_torch_takes_for_a_failure_or_for_nothing_is_a_stop(torch_then):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted), compiling():
        stopped(torch_then)
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_failures_are_no_failures_of_the_compiler():
    with pytest.raises(RuntimeError, match="boom"), compiling():
        raise RuntimeError("boom")
