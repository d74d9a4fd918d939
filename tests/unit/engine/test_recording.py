"""Steps are recorded at their second call on a GPU and replayed from then on; elsewhere they are run normally."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from nayer.engine.recording import Recorder


class Graph:
    """Stands in for the CUDA graph of a step that adds one to a tensor: replaying it adds one."""

    fails = False

    def capture_begin(self, pool: object) -> None:
        self.recording = total.clone()

    def capture_end(self) -> None:
        if Graph.fails:
            raise RuntimeError("the recording came to nothing")
        total.copy_(self.recording)  # a step that is being recorded has no effect

    def replay(self) -> None:
        total.add_(1)


total = torch.zeros(())


@pytest.fixture
def recorder(monkeypatch):
    """A recorder as on a machine with a GPU."""

    @contextmanager
    def stream(_):
        yield

    put_back: list[str] = []
    generator = SimpleNamespace(clone_state=lambda: "before", graphsafe_set_state=put_back.append)
    streams = SimpleNamespace(wait_stream=lambda other: None, device=torch.device("cuda:0"))
    for name, value in {
        "graph_pool_handle": lambda: "pool",
        "Stream": lambda device: streams,
        "current_stream": lambda device: streams,
        "stream": stream,
        "default_generators": [generator],
        "CUDAGraph": Graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    total.zero_()
    found = Recorder(torch.device("cuda"))
    found.put_back = put_back
    return found


def test_a_step_is_done_recorded_and_replayed(recorder):
    calls = []
    step = recorder.recorded(lambda: (calls.append(1), total.add_(1))[1])
    assert [float(step()) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert len(calls) == 2


def test_a_step_that_cannot_be_recorded_is_done_all_the_same(recorder, monkeypatch):
    monkeypatch.setattr(Graph, "fails", True)

    def step() -> float:
        if len(calls) == 1 and recorder.on:
            calls.append(0)
            raise RuntimeError("a recording knows no values")
        calls.append(1)
        return float(total.add_(1))

    calls: list[int] = []
    recorded = recorder.recorded(step)
    assert [recorded() for _ in range(4)] == [1, 2, 3, 4]
    assert recorder.put_back == ["before"], "random numbers go on as if nothing had been recorded"
    assert not recorder.on


@pytest.mark.parametrize(("device", "wanted"), [("cpu", True), ("cuda", False)])
def test_elsewhere_or_where_it_is_not_wanted_a_step_is_done_as_it_is(device, wanted):
    calls = []
    step = Recorder(torch.device(device), wanted).recorded(lambda: calls.append(1))
    for _ in range(4):
        step()
    assert len(calls) == 4
