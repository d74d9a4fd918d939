"""What the student learns from: views of the images in the memory, with the teacher's logits on them."""

from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor

from nayer.core.images import Augmentation, to_float
from nayer.engine.device import Autocast
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.student.features import Answers
from nayer.synthesis.memory import MemoryBank

# Of a forward pass on a GPU: 2,048 images of 32x32.
PIXELS_AT_ONCE = 2**21


class Targets(Protocol):
    """Fills a memory and deals out batches from it."""

    memory: MemoryBank
    slots: Tensor
    """Where the chosen images lie."""

    def add(self, images: Tensor, labels: Tensor) -> None:
        """New images, uint8 (N, C, H, W), with labels (N,)."""
        ...

    def deal(self, count: int) -> None:
        """Choose the images of a step, fewer than `count` if the memory holds fewer."""
        ...

    def views(self) -> tuple[Tensor, Tensor]:
        """Of the chosen: (count, C, H, W) in [0, 1], and what the teacher answers to these very views.

        That is logits (count, classes), with features behind them where the student is compared by these.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside the memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        ...


class OnlineTargets:
    """A new view at every draw; the teacher is asked each time (arXiv 2310.00258)."""

    def __init__(
        self,
        teacher: Classifier,
        memory: MemoryBank,
        augment: Augmentation,
        autocast: Autocast,
        features: int = 0,
    ) -> None:
        self.teacher: Classifier | Answers = Answers(teacher) if features else teacher
        self.memory, self.augment, self.autocast = memory, augment, autocast
        self.slots = torch.empty(0, dtype=torch.long, device=memory.labels.device)

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Into the memory."""
        self.memory.add(images, labels)

    def deal(self, count: int) -> None:
        """In place, for a step that is recorded, unless there are more or fewer than last time."""
        slots = self.memory.draw(count)
        self.slots = self.slots.copy_(slots) if len(slots) == len(self.slots) else slots.clone()

    def views(self) -> tuple[Tensor, Tensor]:
        """A forward pass of the teacher each."""
        views = self.augment(to_float(self.memory.take(self.slots)))
        return views, self.ask(views)

    @torch.no_grad()
    def ask(self, views: Tensor) -> Tensor:
        """The teacher's answers to views (N, C, H, W) in [0, 1]."""
        with self.autocast():
            answers: Tensor = self.teacher(views)
        return answers

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class CachedTargets(OnlineTargets):
    """As many views of each image as `count`, drawn when it comes in; the teacher is asked once for each.

    A student sees an image far more often than that, so that its steps hardly cost a forward pass of the teacher: a
    share `refreshed` of each batch alone is drawn anew, and kept in place of the old view. Where there are no more than
    `count` different views, all are kept and none refreshed: the student is shown what `OnlineTargets` would show it.
    Costs 3 bytes a view beside the image, and 2 for each of the classes and features.
    """

    def __init__(
        self,
        teacher: Classifier,
        memory: MemoryBank,
        augment: Augmentation,
        autocast: Autocast,
        count: int,
        refreshed: float,
        features: int = 0,
    ) -> None:
        super().__init__(teacher, memory, augment, autocast, features)
        device, width = memory.labels.device, len(teacher.class_names) + features
        self.every = augment.every(device) if count >= augment.crop_count else None
        self.count = count if self.every is None else len(self.every)
        self.refreshed = refreshed if self.every is None else 0.0
        self.crops = torch.zeros((memory.capacity, self.count, 3), dtype=torch.uint8, device=device)
        # fp16 holds what bf16 holds, apart from what is beyond 65,504.
        self.answers = torch.zeros((memory.capacity, self.count, width), dtype=torch.float16, device=device)

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Into the memory, with the teacher's answers to all views of the images."""
        slots = self.memory.add(images, labels)
        newest = to_float(images[-len(slots) :])
        count = len(slots)
        for views in torch.arange(self.count).split(self.at_once(newest)):
            crops = torch.cat([self.crops_of(int(view), count, slots.device) for view in views])
            repeated = newest.expand(len(views), *newest.shape).flatten(0, 1)  # of one view, no copy
            answers = self.ask(self.augment.crop(repeated, crops))
            first, last = int(views[0]), int(views[-1]) + 1
            self.crops[slots, first:last] = crops.unflatten(0, (-1, count)).transpose(0, 1)
            self.answers[slots, first:last] = answers.to(torch.float16).unflatten(0, (-1, count)).transpose(0, 1)

    def at_once(self, images: Tensor) -> int:
        """How many views of each image the teacher is shown in one pass: one on a CPU, which gains nothing by more."""
        return max(1, PIXELS_AT_ONCE // images[:, 0].numel()) if images.is_cuda else 1

    def crops_of(self, view: int, count: int, device: torch.device) -> Tensor:
        """Of a view of each image, (count, 3): a new one, or the same of all where all there are are kept."""
        return self.augment.draw(count, device) if self.every is None else self.every[view].expand(count, -1)

    def views(self) -> tuple[Tensor, Tensor]:
        """One of the views of each chosen image, with the answers cached for it, or with new ones."""
        slots = self.slots
        view = torch.randint(self.count, slots.shape, device=slots.device)
        crops, answers = self.crops[slots, view], self.answers[slots, view]
        # Up, so that a small share of a small batch is not none.
        fresh = ceil(self.refreshed * len(slots))
        crops[:fresh] = self.augment.draw(fresh, slots.device)
        views = self.augment.crop(to_float(self.memory.take(slots)), crops)
        if fresh:
            answers[:fresh] = self.ask(views[:fresh]).to(torch.float16)
            place = slots[:fresh], view[:fresh]
            self.crops[place], self.answers[place] = crops[:fresh], answers[:fresh]
        return views, answers

    def state_dict(self) -> dict[str, Any]:
        """Of the filled part of the memory; not a copy."""
        filled = len(self.memory)
        return {"crops": self.crops[:filled], "answers": self.answers[:filled]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        filled = len(state["crops"])
        self.crops[:filled], self.answers[:filled] = state["crops"], state["answers"]


def build_targets(
    teacher: Classifier,
    memory: MemoryBank,
    augment: Augmentation,
    autocast: Autocast,
    config: StudentConfig,
    features: int,
) -> Targets:
    """Cached where the student's parameters say so, else online; with so many features beside the logits."""
    if config.cached_targets is None:
        return OnlineTargets(teacher, memory, augment, autocast, features)
    views, refreshed = config.cached_targets, config.refreshed_targets
    return CachedTargets(teacher, memory, augment, autocast, views, refreshed, features)
