"""Targets of the student: views of the images in the memory, with the teacher's answers to them."""

from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor

from nayer.core.images import Augmentation, to_float
from nayer.core.tensors import own_storage
from nayer.engine.device import Autocast
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.student.features import Answers
from nayer.synthesis.memory import MemoryBank

# Pixels per forward pass on a GPU: 2,048 images of 32x32.
PIXELS_AT_ONCE = 2**21


class Targets(Protocol):
    """Fills a memory and deals batches of views from it."""

    memory: MemoryBank
    slots: Tensor
    """Memory slots of the chosen images."""

    def add(self, images: Tensor, labels: Tensor, synthetic: bool = True) -> None:
        """Add new images, uint8 (N, C, H, W), with labels (N,); leaves are not `synthetic`."""
        ...

    def deal(self, count: int) -> None:
        """Choose the images of a step, fewer than `count` if the memory holds fewer."""
        ...

    def views(self) -> tuple[Tensor, Tensor]:
        """Views (count, C, H, W) in [0, 1] of the chosen images, and the teacher's answers to these very views.

        Answers are logits (count, classes), followed by features where the student is compared by these.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """State that a resumed run needs in addition to the memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


class OnlineTargets:
    """Draws a new view and runs the teacher on it every time (arXiv 2310.00258)."""

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

    def add(self, images: Tensor, labels: Tensor, synthetic: bool = True) -> None:
        """Add images to the memory."""
        self.memory.add(images, labels, synthetic)

    def deal(self, count: int) -> None:
        """Choose images; `slots` is updated in place, as a recorded step needs, unless their number has changed."""
        slots = self.memory.draw(count)
        self.slots = self.slots.copy_(slots) if len(slots) == len(self.slots) else slots.clone()

    def views(self) -> tuple[Tensor, Tensor]:
        """New views of the chosen images, with the teacher's answers from a forward pass."""
        views = self.augment(to_float(self.memory.take(self.slots)))
        return views, self.ask(views)

    @torch.no_grad()
    def ask(self, views: Tensor) -> Tensor:
        """The teacher's answers to views (N, C, H, W) in [0, 1]."""
        with self.autocast():
            answers: Tensor = self.teacher(views)
        return answers

    def state_dict(self) -> dict[str, Any]:
        """Empty: nothing is cached."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class CachedTargets(OnlineTargets):
    """Caches `count` views of each image, drawn when it is added, with the teacher's answers to them.

    A student sees an image far more often than that, so its steps need few forward passes of the teacher: only a share
    `refreshed` of each batch is drawn anew, and replaces the old views. Where there are no more than `count` different
    views, all are cached and none refreshed: the student sees the same distribution as with `OnlineTargets`. Each view
    takes 3 bytes beside the image, and 2 for each class and feature.
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
        # fp16 is precise enough for answers in bf16, up to 65,504.
        self.answers = torch.zeros((memory.capacity, self.count, width), dtype=torch.float16, device=device)

    def add(self, images: Tensor, labels: Tensor, synthetic: bool = True) -> None:
        """Add images to the memory, and cache their views with the teacher's answers."""
        slots = self.memory.add(images, labels, synthetic)
        newest = to_float(images[-len(slots) :])
        count = len(slots)
        for views in torch.arange(self.count).split(self.at_once(newest)):
            crops = torch.cat([self.crops_of(int(view), count, slots.device) for view in views])
            repeated = newest.expand(len(views), *newest.shape).flatten(0, 1)  # no copy if there is one view
            answers = self.ask(self.augment.crop(repeated, crops))
            first, last = int(views[0]), int(views[-1]) + 1
            self.crops[slots, first:last] = crops.unflatten(0, (-1, count)).transpose(0, 1)
            self.answers[slots, first:last] = answers.to(torch.float16).unflatten(0, (-1, count)).transpose(0, 1)

    def at_once(self, images: Tensor) -> int:
        """Views of each image in one forward pass of the teacher: one on a CPU, which gains nothing from more."""
        return max(1, PIXELS_AT_ONCE // images[:, 0].numel()) if images.is_cuda else 1

    def crops_of(self, view: int, count: int, device: torch.device) -> Tensor:
        """Crops (count, 3) of one view per image: new ones, or the same for all images if all views are cached."""
        return self.augment.draw(count, device) if self.every is None else self.every[view].expand(count, -1)

    def views(self) -> tuple[Tensor, Tensor]:
        """One cached view of each chosen image with its cached answers; a share of both is renewed first."""
        slots = self.slots
        view = torch.randint(self.count, slots.shape, device=slots.device)
        crops, answers = self.crops[slots, view], self.answers[slots, view]
        # Rounded up, so that a small share of a small batch is not zero.
        fresh = ceil(self.refreshed * len(slots))
        crops[:fresh] = self.augment.draw(fresh, slots.device)
        views = self.augment.crop(to_float(self.memory.take(slots)), crops)
        if fresh:
            answers[:fresh] = self.ask(views[:fresh]).to(torch.float16)
            place = slots[:fresh], view[:fresh]
            self.crops[place], self.answers[place] = crops[:fresh], answers[:fresh]
        return views, answers

    def state_dict(self) -> dict[str, Any]:
        """Crops and answers for the filled part of the memory; not a copy."""
        filled = len(self.memory)
        return {"crops": own_storage(self.crops[:filled]), "answers": own_storage(self.answers[:filled])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
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
    """Cached or online targets, as the student's parameters say; `features` is the number of the teacher's, or 0."""
    if config.cached_targets is None:
        return OnlineTargets(teacher, memory, augment, autocast, features)
    views, refreshed = config.cached_targets, config.refreshed_targets
    return CachedTargets(teacher, memory, augment, autocast, views, refreshed, features)
