"""Several processes that are stopped, killed, refused, or cannot meet; two and four compared with ghosts."""

import copy
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ghosts import Ghosts
from several import FIRST_STEPS, Heard, children, figures

from nayer.core.errors import InputError, Interrupted, Stopped
from nayer.distillation import launch
from nayer.distillation.config import DistillConfig
from nayer.distillation.launch import run
from nayer.engine.progress import NullReporter


def kill_one() -> None:
    children()[-1].kill()


def terminate_one() -> None:
    children()[-1].terminate()


@pytest.mark.parametrize(("processes", "feature_weight"), [(2, 0.0), (4, 0.0), (2, 2.0)])
def test_processes_learn_what_ghost_groups_in_one_process_learn(
    processes, feature_weight, job, distill_config, monkeypatch
):
    config = distill_config(**FIRST_STEPS, student__feature_weight=feature_weight)
    found = run(job(config, processes), NullReporter())
    alone = job(config, 1)
    expected = Ghosts(processes, monkeypatch).run(lambda: copy.deepcopy(alone).run(NullReporter()))
    for result in expected:
        assert len(result.history) == len(found.history) == 6
        for row, wanted in zip(found.history, result.history, strict=True):
            assert figures(row) == pytest.approx(figures(wanted), rel=1e-5, abs=1e-5)
        torch.testing.assert_close(found.student.state_dict(), result.student.state_dict(), rtol=1e-5, atol=1e-6)
    assert found.images_made == 24 * 6


def test_a_method_that_has_no_networks_runs_in_several_processes(job, distill_config):
    found = run(job(distill_config(**FIRST_STEPS, synthesis__method="deep_inversion"), 2), NullReporter())
    assert set(found.sample.labels.tolist()) == {0, 1, 2}


def endless(distill_config) -> DistillConfig:
    return distill_config(**{**FIRST_STEPS, "epochs": 3000})


def test_a_killed_process_ends_the_run_with_one_sentence(job, distill_config, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    began = time.monotonic()
    kill = Heard(kill_one)
    with pytest.raises(Stopped, match=r"process \d of 2 died .*SIGKILL.* The same command"):
        run(job(endless(distill_config), 2), kill)
    assert time.monotonic() - began < 60
    assert not children()
    assert not [*tmp_path.rglob("*torchelastic*"), *tmp_path.glob("nayer-*")]


def test_the_signals_mean_afterwards_what_they_meant_before(job, distill_config):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(job(distill_config(**FIRST_STEPS), 2), NullReporter())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_keeps_one_state_from_which_all_go_on(job, distill_config):
    config = distill_config(**{**FIRST_STEPS, "epochs": 30})
    whole = run(job(config, 2), NullReporter())
    folder = Path(job(config, 2).runtime.resume_folder) / "distill"
    (folder / "state.pt").unlink()  # as after a run whose results are saved
    with pytest.raises(Interrupted, match="same command goes on"):
        run(job(config, 2), Heard(lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert [file.name for file in folder.iterdir()] == ["state.pt"]
    heard = Heard()
    resumed = run(job(config, 2), heard)
    assert any("going on in epoch" in said for said in heard.said)
    assert resumed.history == whole.history
    assert all(torch.equal(a, b) for a, b in zip(resumed.student.parameters(), whole.student.parameters(), strict=True))


def test_what_any_process_refuses_is_told_as_it_is(job, distill_config):
    config = distill_config(**{**FIRST_STEPS, "student__batch_size": 25})
    with pytest.raises(InputError, match=r"distill\.student\.batch_size: 25 .* 2 processes"):
        run(job(config, 2), NullReporter())
    required = job(distill_config(**FIRST_STEPS), 2)
    required = replace(required, runtime=required.runtime.model_copy(update={"resume": "require"}))
    with pytest.raises(InputError, match=r"runtime\.resume: 'require'"):
        run(required, NullReporter())
    assert not children()


def test_one_process_that_is_asked_to_stop_stops_all_and_keeps_the_state(job, distill_config):
    with pytest.raises(Interrupted, match=r"stopped by SIGTERM\. Kept in .*: the last state of distill\. .*goes on"):
        run(job(endless(distill_config), 2), Heard(terminate_one))


class Broken(Heard):
    """A reporter whose terminal is gone."""

    def say(self, text: str) -> None:
        raise BrokenPipeError


def test_a_reporter_that_fails_does_not_hang_the_processes(job, distill_config):
    with pytest.raises(BrokenPipeError):
        run(job(distill_config(**FIRST_STEPS), 2), Broken())


def test_a_machine_that_cannot_be_reached_is_told_by_its_address(job, distill_config, monkeypatch):
    monkeypatch.setattr(launch, "SECONDS_TO_MEET", 3)
    apart = job(distill_config(**FIRST_STEPS), 1)
    update = {"machines": 2, "address": "no-such-host.invalid:29400"}
    apart = replace(apart, runtime=apart.runtime.model_copy(update=update))
    with pytest.raises(InputError, match=r"runtime\.address: the 2 machines did not meet at 'no-such-host"):
        run(apart, NullReporter())
