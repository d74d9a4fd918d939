"""Several ranks in one process, as ghost-BatchNorm groups that take turns; gradients are averaged by plain means."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.distributed as dist

# Longest time that a rank waits for the others.
SECONDS = 60


class Ghosts:
    """Runs `work` once per rank in turns that end at each collective; every rank draws its own random numbers."""

    def __init__(self, size: int, monkeypatch) -> None:
        self.size, self.turn = size, 0
        self.changed = threading.Condition()
        self.here = threading.local()
        self.brought: list[torch.Tensor] = []
        for name, stand_in in {
            "is_initialized": lambda: True,
            "get_rank": lambda: self.here.rank,
            "get_world_size": lambda: size,
            "all_reduce": self.all_reduce,
            "broadcast": self.broadcast,
            "all_gather_object": self.all_gather_object,
            "gather_object": lambda mine, values, target: None,
            "scatter_object_list": lambda mine, values, source: None,  # no state to resume from
        }.items():
            monkeypatch.setattr(dist, name, stand_in)
        monkeypatch.setitem(os.environ, "LOCAL_RANK", "0")
        monkeypatch.setitem(os.environ, "LOCAL_WORLD_SIZE", "1")

    def run(self, work: Callable[[], object]) -> list[object]:
        def rank(number: int) -> object:
            self.here.rank = number
            try:
                self.wait()
                torch.manual_seed(0)
                return work()
            finally:
                self.pass_on()

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(rank, range(self.size)))

    def wait(self) -> None:
        with self.changed:
            mine = self.changed.wait_for(lambda: self.turn % self.size == self.here.rank, timeout=SECONDS)
        assert mine, f"rank {self.here.rank} waited {SECONDS} s for its turn"

    def pass_on(self) -> None:
        with self.changed:
            self.turn += 1
            self.changed.notify_all()

    def meet(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Leave a tensor, let the others work up to here, and get what all of them left."""
        state = torch.get_rng_state()
        if self.here.rank == 0:
            self.brought = []
        self.brought.append(tensor.clone())
        brought = self.brought
        self.pass_on()
        self.wait()
        torch.set_rng_state(state)
        return brought

    def all_reduce(self, tensor: torch.Tensor, op=dist.ReduceOp.SUM) -> None:
        brought = torch.stack(self.meet(tensor))
        tensor.copy_(brought.amax(0) if op == dist.ReduceOp.MAX else brought.sum(0))

    def broadcast(self, tensor: torch.Tensor, source: int) -> None:
        tensor.copy_(self.meet(tensor)[source])

    def all_gather_object(self, values: list[float], value: float) -> None:
        values[:] = [each.item() for each in self.meet(torch.tensor(value))]
