"""A state holds the random generators that its run draws from, and no others."""

from types import SimpleNamespace

import torch

from nayer.engine.state_file import random_state, set_random_state


def test_only_the_generator_of_the_runs_own_device_is_kept_and_restored_on_whichever_it_has_now(monkeypatch):
    kept = torch.arange(4, dtype=torch.uint8)
    there = {torch.device("cuda:2"): kept}
    module = SimpleNamespace(get_rng_state=there.get, set_rng_state=lambda state, device: there.update({device: state}))
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    state = random_state(torch.device("cuda:2"))
    drawn = torch.rand(3)
    set_random_state(state, torch.device("cuda:0"))
    assert torch.equal(torch.rand(3), drawn)
    assert there == {torch.device("cuda:2"): kept, torch.device("cuda:0"): kept}


def test_a_run_on_the_cpu_keeps_its_generator_alone():
    state = random_state(torch.device("cpu"))
    drawn = torch.rand(3)
    set_random_state(state, torch.device("cpu"))
    assert torch.equal(torch.rand(3), drawn)
    assert state["device"] is None
