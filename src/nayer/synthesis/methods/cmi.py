"""CMI: a fresh generator per batch and a contrastive term against earlier images (Fang et al., arXiv 2105.08584)."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nayer.core.config import Count, Rate, Weight
from nayer.core.errors import InputError
from nayer.core.images import to_float
from nayer.engine.distributed import broadcast_module
from nayer.engine.recording import Recorder
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Context, SyntheticBatch
from nayer.synthesis.parts.batchnorm import layers_with_statistics
from nayer.synthesis.parts.features import LayerInputs, channel_means
from nayer.synthesis.parts.generator import build_generator, redraw_weights
from nayer.synthesis.parts.inversion import LOSS_NAMES, InversionMethod, Losses, invert
from nayer.synthesis.parts.losses import contrastive_loss
from nayer.synthesis.parts.settings import Betas, GeneratorConfig, InversionConfig, Share
from nayer.synthesis.parts.views import random_resized_crop


class CmiConfig(GeneratorConfig, InversionConfig):
    """CMI's synthesis (section 3); the defaults are its authors' published values for CIFAR-10."""

    method: Literal["cmi"]
    steps: Count = 200
    latent: Count = 256
    generator_width: Count = 64
    learning_rate: Rate = 1e-3
    """Learning rate of generator, latent vectors and projection."""
    betas: Betas = (0.5, 0.999)
    ce_weight: Weight = 0.5
    bn_weight: Weight = 1.0
    adversarial_weight: Weight = 0.5
    bn_momentum: Share = 1.0
    contrastive_weight: Weight = 0.8
    """Weight of the contrastive term, by which every image should differ from all others."""
    contrastive_temperature: Rate = 0.1
    """Temperature of the contrastive term."""
    projection: Count = 128
    """Outputs of the learnt projection in which the contrastive term compares images."""
    bank: Count = 40960
    """Earlier images whose features are kept for the contrastive term."""
    negatives: Count = 4096
    """Earlier images, drawn from that bank, that each step compares with."""


class Cmi(InversionMethod[CmiConfig]):
    """Learns generator and latent vectors for each batch; a projection learns to tell its images from earlier ones."""

    title = "CMI"
    reference = "arXiv 2105.08584"
    Config = CmiConfig
    loss_names: ClassVar = {**LOSS_NAMES, "contrast": "contrastive"}

    def __init__(self, context: Context, config: CmiConfig) -> None:
        self.generator = build_generator(context, config)
        self.features = LayerInputs(layers := layers_with_statistics(context.teacher), channel_means)
        self.width = sum(layer.num_features for layer in layers)
        super().__init__(context, config)

    @classmethod
    def check(cls, config: CmiConfig, teacher: Classifier) -> list[str]:
        """Refuse a teacher without BatchNorm2d, as the contrastive term compares the inputs of these layers."""
        if not layers_with_statistics(teacher):
            raise InputError(
                f"distill.synthesis.method: cmi compares images by inputs of BatchNorm2d, but '"
                f"{teacher.architecture}' has none; choose another, such as nayer with bn_weight 0."
            )
        return super().check(config, teacher)

    def renew(self) -> None:
        """Set up a fresh projection and an empty bank of features."""
        device = self.context.teacher.mean.device
        self.bank = torch.empty(0, 2 * self.width, device=device)
        hidden = nn.Linear(self.width, self.width), nn.ReLU(), nn.Linear(self.width, self.config.projection)
        self.project = nn.Sequential(*hidden).to(device)
        broadcast_module(self.project)
        self.optimiser = torch.optim.Adam(self.project.parameters(), self.config.learning_rate, fused=True)

    def step(self, student: Classifier) -> SyntheticBatch:
        """Learn a generator and latent vectors for one batch that should differ from the images in the bank."""
        config, device = self.config, self.context.teacher.mean.device
        labels = torch.randint(self.context.classes, (config.batch_size,), device=device)
        latent = torch.randn(config.batch_size, config.latent, device=device, requires_grad=True)
        redraw_weights(self.generator)
        broadcast_module(self.generator)
        own = list(self.generator.parameters())
        optimiser = torch.optim.Adam([*own, latent], config.learning_rate, config.betas, fused=True)
        shared = [*own, *self.project.parameters()]

        def make_images() -> Tensor:
            with self.context.autocast():
                images: Tensor = self.generator(latent)
            return images

        def losses_of(images: Tensor) -> tuple[Losses, Tensor]:
            losses, teacher_logits = self.loss(images, labels, student)
            contrast = self.contrast(self.features_of(images))
            total = losses[TOTAL] + config.contrastive_weight * contrast
            return {**losses, "contrast": contrast, TOTAL: total}, teacher_logits

        with self.features.recording(), self.loss.for_one_batch(student):
            # Never recorded as a CUDA graph: the projection's optimiser outlives the batch and is not set up for that.
            steps, after = config.steps, self.learn_to_tell_apart
            batch = invert(make_images, losses_of, labels, optimiser, shared, steps, Recorder(), after)
            self.remember(batch)
        return batch

    def features_of(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's features (N, width) of a random crop of each image, and of the views it was shown last."""
        whole = torch.cat(list(self.features.found.values()), 1)
        with self.context.autocast():
            self.context.teacher(random_resized_crop(images))
        return torch.cat(list(self.features.found.values()), 1), whole

    def contrast(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """Contrastive term: match each crop to its own image among this batch and a draw of the bank (section 3.2)."""
        chosen = torch.randperm(len(self.bank), device=self.bank.device)[: self.config.negatives]
        kept = self.bank[chosen].chunk(2, 1)
        part, whole = (self.project(torch.cat(pair)) for pair in zip(features, kept, strict=True))
        return contrastive_loss(part, whole, len(features[0]), self.config.contrastive_temperature)

    def learn_to_tell_apart(self) -> None:
        """Take an optimiser step of the projection, which learns by the same loss across batches."""
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def remember(self, batch: SyntheticBatch) -> None:
        """Put the features of a batch into the bank."""
        images = to_float(batch.images)
        with self.context.autocast():
            self.context.teacher(self.context.augment(images))
        self.bank = torch.cat([self.bank, torch.cat(self.features_of(images), 1)])[-self.config.bank :]

    @property
    def kept_bytes(self) -> int:
        """Bytes of the full bank, and of the projection with the two means of its optimiser; fp32."""
        projection = sum(each.numel() for each in self.project.parameters())
        return 4 * (2 * self.width * self.config.bank + 3 * projection)

    def state_dict(self) -> dict[str, Any]:
        """Projection, its optimiser, bank, statistics and phase; not the generator, which every batch redraws."""
        learnt = {"project": self.project.state_dict(), "optimiser": self.optimiser.state_dict()}
        return {**learnt, "bank": self.bank, "loss": self.loss.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.project.load_state_dict(state["project"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.bank = state["bank"].to(self.bank.device)
        self.loss.load_state_dict(state["loss"])
