"""What the student learns from: views of the images in the memory, with the teacher's answers to them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor

from nayer.images import Augmentation, to_float
from nayer.models.classifier import Classifier
from nayer.synthesis.memory import MemoryBank

Autocast = Callable[[], AbstractContextManager[Any]]


class Views(Protocol):
    """Fills a memory and deals out batches from it."""

    memory: MemoryBank

    def add(self, images: Tensor, labels: Tensor) -> None:
        """New images, uint8 (N, C, H, W), with labels (N,)."""
        ...

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Views (count, C, H, W) in [0, 1] and the teacher's logits (count, classes) on these very views."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside the memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        ...


class FreshViews:
    """A new view at every draw; the teacher is asked each time (arXiv 2310.00258)."""

    def __init__(self, teacher: Classifier, memory: MemoryBank, augment: Augmentation, autocast: Autocast) -> None:
        self.teacher, self.memory, self.augment, self.autocast = teacher, memory, augment, autocast

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Into the memory."""
        self.memory.add(images, labels)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """A forward pass of the teacher each."""
        views = self.augment(to_float(self.memory.take(self.memory.draw(count))))
        return views, self.ask(views)

    @torch.no_grad()
    def ask(self, views: Tensor) -> Tensor:
        """The teacher's logits."""
        with self.autocast():
            answers: Tensor = self.teacher(views)
        return answers

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class KeptViews(FreshViews):
    """As many views of each image as `count`, drawn when it comes in; the teacher is asked once for each.

    A student sees an image far more often than that, so that its steps hardly cost a forward pass of the teacher: a
    share `renewed` of each batch alone is drawn anew, and kept in place of the old view. Where there are no more than
    `count` different views, all are kept and none renewed: the student is shown what `FreshViews` would show it. Costs
    3 + 2 * classes bytes a view beside the image.
    """

    def __init__(
        self,
        teacher: Classifier,
        memory: MemoryBank,
        augment: Augmentation,
        autocast: Autocast,
        count: int,
        renewed: float,
    ) -> None:
        super().__init__(teacher, memory, augment, autocast)
        device, classes = memory.labels.device, len(teacher.class_names)
        self.every = augment.every(device) if count >= augment.crop_count else None
        self.count = count if self.every is None else len(self.every)
        self.renewed = renewed if self.every is None else 0.0
        self.crops = torch.zeros((memory.capacity, self.count, 3), dtype=torch.uint8, device=device)
        # fp16 holds what bf16 holds, apart from logits beyond 65,504.
        self.answers = torch.zeros((memory.capacity, self.count, classes), dtype=torch.float16, device=device)

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Into the memory; the teacher answers to all views of the images."""
        slots = self.memory.add(images, labels)
        newest = to_float(images[-len(slots) :])
        for view in range(self.count):
            if self.every is None:
                crops = self.augment.draw(len(slots), slots.device)
            else:
                crops = self.every[view].expand(len(slots), -1)
            self.crops[slots, view] = crops
            self.answers[slots, view] = self.ask(self.augment.crop(newest, crops)).to(torch.float16)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """One of the views of each drawn image, with the answer given before, or with a new one."""
        slots = self.memory.draw(count)
        view = torch.randint(self.count, slots.shape, device=slots.device)
        crops, answers = self.crops[slots, view], self.answers[slots, view]
        # Up, so that a small share of a small batch is not none.
        fresh = ceil(self.renewed * len(slots))
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
