"""Steps of which a GPU launches all kernels at once (CUDA graphs).

A step of these networks is a thousand small kernels: a GPU has done each sooner than its host can launch the next.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
CPU = torch.device("cpu")
# Of a step that is recorded, how often it is done before it is like all that follow.
UNLIKE = 2


class Recorder:
    """Records steps on one device; where that cannot be, or is not wanted, they are done as they are."""

    def __init__(self, device: torch.device = CPU, wanted: bool = True) -> None:
        self.on = wanted and device.type == "cuda"
        self.pool: Any = torch.cuda.graph_pool_handle() if self.on else None
        self.stream: Any = torch.cuda.Stream(device) if self.on else None
        self.newest: Any = None
        """Keeps the memory of recordings, until the next has taken it over."""

    def recorded(self, step: Callable[[], T]) -> "Recorded[T]":
        """The same step, to be done many times in a row."""
        return Recorded(step, self)


class Recorded(Generic[T]):
    """A step that finds all its tensors where they were, and no number of the host that changes.

    It is done as it is the first time, recorded at the second, and from then on its kernels are launched all at once.
    What it answers is then written over by the next; random numbers go on as ever.
    """

    def __init__(self, step: Callable[[], T], recorder: Recorder) -> None:
        self.step, self.recorder = step, recorder
        self.known = False
        self.graph: Any = None

    def __call__(self) -> T:
        """One step."""
        if not self.recorder.on:
            return self.step()
        if self.graph is None:
            return self._begin()
        self.graph.replay()
        return self.answer

    def _begin(self) -> T:
        """The first step and the second, on a stream of their own, as a recording must be."""
        recorder = self.recorder
        here = torch.cuda.current_stream(recorder.stream.device)
        recorder.stream.wait_stream(here)
        with torch.cuda.stream(recorder.stream):
            if not self.known:
                # What is set up at the first call, in libraries and optimisers, is no part of a step.
                found, self.known = self.step(), True
            elif self._record():
                self.graph.replay()
                found = self.answer
            else:
                found = self.step()
        here.wait_stream(recorder.stream)
        return found

    def _record(self) -> bool:
        """Without doing anything yet; False where a step asks its host for something."""
        generator = torch.cuda.default_generators[self.recorder.stream.device.index]
        graph, random = torch.cuda.CUDAGraph(), generator.clone_state()
        graph.capture_begin(pool=self.recorder.pool)
        try:
            self.answer = self.step()
            graph.capture_end()
        except RuntimeError:
            with suppress(RuntimeError):
                graph.capture_end()
            generator.graphsafe_set_state(random)  # the old state waits for the end of the recording for ever
            self.recorder.on = False
            return False
        self.graph = self.recorder.newest = graph
        return True
