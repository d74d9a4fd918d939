"""Two processes do what one would: against ghost-BatchNorm groups in one process; more in tests/e2e/test_launch.py."""

import copy

import pytest
import torch
from ghosts import Ghosts
from several import FIRST_STEPS, figures

from nayer.distillation.launch import run
from nayer.engine.progress import NullReporter


@pytest.mark.parametrize("processes", [2])
def test_processes_learn_what_ghost_groups_in_one_process_learn(processes, job, distill_config, monkeypatch):
    config = distill_config(**FIRST_STEPS)
    found = run(job(config, processes), NullReporter())
    alone = job(config, 1)
    expected = Ghosts(processes, monkeypatch).run(lambda: copy.deepcopy(alone).run(NullReporter()))
    for result in expected:
        assert len(result.history) == len(found.history) == 6
        for row, wanted in zip(found.history, result.history, strict=True):
            assert figures(row) == pytest.approx(figures(wanted), rel=1e-5, abs=1e-5)
        torch.testing.assert_close(found.student.state_dict(), result.student.state_dict(), rtol=1e-5, atol=1e-6)
    assert found.images_made == 24 * 6
