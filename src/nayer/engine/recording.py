"""Records steps as CUDA graphs, so that a GPU launches all their kernels at once.

A step of these networks is about a thousand small kernels, each of which a GPU finishes before its host can launch the
next.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
CPU = torch.device("cpu")
# Calls of a recorded step that do not yet run like all later ones: the warm-up and the recording itself.
UNLIKE = 2


class Recorder:
    """Records steps on one device; where that is impossible or not wanted, steps run as they are."""

    def __init__(self, device: torch.device = CPU, wanted: bool = True) -> None:
        self.on = wanted and device.type == "cuda"
        self.pool: Any = torch.cuda.graph_pool_handle() if self.on else None
        self.stream: Any = torch.cuda.Stream(device) if self.on else None
        self.newest: Any = None
        """The newest recording: it keeps the memory pool alive until the next recording uses it."""

    def recorded(self, step: Callable[[], T]) -> "Recorded[T]":
        """The same step, recorded, to be called many times in a row."""
        return Recorded(step, self)


class Recorded(Generic[T]):
    """A step whose tensors stay at the same addresses and which uses no number of the host that changes between calls.

    The first call runs the step as it is, the second records it, and from then on all its kernels are launched at once.
    Each call then overwrites the result of the one before; random numbers continue as without recording.
    """

    def __init__(self, step: Callable[[], T], recorder: Recorder) -> None:
        self.step, self.recorder = step, recorder
        self.known = False
        self.graph: Any = None

    def __call__(self) -> T:
        """Take one step."""
        if not self.recorder.on:
            return self.step()
        if self.graph is None:
            return self._begin()
        self.graph.replay()
        return self.answer

    def _begin(self) -> T:
        """The first and the second call, on a separate stream, which a recording requires."""
        recorder = self.recorder
        here = torch.cuda.current_stream(recorder.stream.device)
        recorder.stream.wait_stream(here)
        with torch.cuda.stream(recorder.stream):
            if not self.known:
                # Libraries and optimisers are set up at the first call, which must not be recorded.
                found, self.known = self.step(), True
            elif self._record():
                self.graph.replay()
                found = self.answer
            else:
                found = self.step()
        here.wait_stream(recorder.stream)
        return found

    def _record(self) -> bool:
        """Record the step without executing it; returns False if it needs its host, so that it cannot be recorded."""
        generator = torch.cuda.default_generators[self.recorder.stream.device.index]
        graph, random = torch.cuda.CUDAGraph(), generator.clone_state()
        graph.capture_begin(pool=self.recorder.pool)
        try:
            self.answer = self.step()
            graph.capture_end()
        except RuntimeError:
            with suppress(RuntimeError):
                graph.capture_end()
            generator.graphsafe_set_state(random)  # its former state would wait for ever for the recording to end
            self.recorder.on = False
            return False
        self.graph = self.recorder.newest = graph
        return True
