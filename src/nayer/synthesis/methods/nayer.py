"""NAYER: noisy layer data generation (arXiv 2310.00258, algorithm 1)."""

from typing import Any, Literal

from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.engine.distributed import broadcast_module
from nayer.models.classifier import Classifier
from nayer.synthesis.method import Context, SyntheticBatch
from nayer.synthesis.parts.generator import build_generator
from nayer.synthesis.parts.inversion import InversionMethod, adam, invert
from nayer.synthesis.parts.noisy_layer import Drawn, Given, NoisyLayer, Shared
from nayer.synthesis.parts.settings import Betas, GeneratorConfig, InversionConfig, Share


class NayerConfig(GeneratorConfig, InversionConfig):
    """NAYER's synthesis (section 3). The batch size should preferably be a multiple of the number of classes."""

    method: Literal["nayer"]
    generator_life: Count = 10
    """Epochs after which a fresh generator takes over (g_life); one also does at the end of the warm-up."""
    latent: Count = 1000
    """Outputs of the noisy layer's Linear."""
    generator_width: Count = 64
    learning_rate: Rate = 4e-3
    betas: Betas = (0.5, 0.999)
    ce_weight: Weight = 0.5
    bn_weight: Weight = 10.0
    adversarial_weight: Weight = 1.33
    bn_momentum: Share = 0.1
    input: Given = "embeddings"
    """Input of the noisy layer: the label embeddings, or, as ablations, noise drawn for every image (noise), or the
    embeddings with such noise appended to the outputs (embeddings_and_noise; with noisy_layer none, this is the usual
    class-conditional generator)."""
    noisy_layer: Drawn = "per_batch"
    """When the noisy layer's Linear is drawn: for every batch, or, as ablations, once per generator or not at all."""
    linear_per: Shared = "set"
    """Images that share one Linear: a set of one row per class (K-to-1), or, as ablations, one image or the batch."""
    normalise: bool = True
    """Whether BatchNorm1d normalises the inputs of the Linear; false is an ablation."""


class Nayer(InversionMethod[NayerConfig]):
    """Trains generator and noisy layer against a frozen teacher, one synthetic batch at a time."""

    title = "NAYER"
    reference = "arXiv 2310.00258"
    Config = NayerConfig
    needs_embeddings = True

    def __init__(self, context: Context, config: NayerConfig) -> None:
        if context.embeddings is None:
            raise ValueError("NAYER needs label embeddings")
        self.embeddings = context.embeddings
        super().__init__(context, config)

    def renew(self) -> None:
        """Set up a fresh generator and noisy layer, keeping the running statistics of the BatchNorm term."""
        config = self.config
        ablations = config.noisy_layer, config.linear_per, config.normalise, config.input
        self.noise = NoisyLayer(self.embeddings, config.latent, *ablations).to(self.embeddings.device)
        self.generator = build_generator(self.context, config, latent=self.noise.latent)
        for module in (self.noise.norm, self.generator):
            broadcast_module(module)

    def start_epoch(self, epoch: int) -> None:
        """Renew the generator at the end of its life and when the adversarial term sets in."""
        warmup = self.context.schedule.warmup_epochs
        if epoch > 0 and (epoch % self.config.generator_life == 0 or epoch == warmup):
            self.renew()
        super().start_epoch(epoch)

    def step(self, student: Classifier) -> SyntheticBatch:
        """Redraw the noisy layer, train it and the generator for `steps` steps, and return the batch's best images."""
        labels = self.noise.redraw(self.config.batch_size)
        shared = [*self.noise.norm.parameters(), *self.generator.parameters()]
        weights = [*self.noise.linear, *shared]
        optimiser = adam(weights, self.config.learning_rate, self.config.betas)

        def losses_of(images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
            return self.loss(images, labels, student)

        with self.loss.for_one_batch(student):
            recorder = self.context.recorder
            return invert(self.make_images, losses_of, labels, optimiser, shared, self.config.steps, recorder)

    def make_images(self) -> Tensor:
        """Images (N, C, H, W) in [0, 1] from the latest draw of the noisy layer."""
        # The noisy layer stays in fp32: converting its large weights to bf16 takes longer than using them.
        latent = self.noise()
        with self.context.autocast():
            images: Tensor = self.generator(latent)
        return images

    def state_dict(self) -> dict[str, Any]:
        """Generator, noisy layer, the classes not yet drawn, running statistics, and the phase."""
        return {
            "generator": self.generator.state_dict(),
            "norm": self.noise.norm.state_dict(),
            "order": self.noise.order,
            "linear": self.noise.linear if self.config.noisy_layer == "fixed" else [],
            "loss": self.loss.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.generator.load_state_dict(state["generator"])
        self.noise.norm.load_state_dict(state["norm"])
        self.noise.order = state["order"].to(self.embeddings.device)
        if state["linear"]:
            self.noise.set_linear(*(each.detach().to(self.embeddings.device, copy=True) for each in state["linear"]))
        self.loss.load_state_dict(state["loss"])
