"""The noisy layer Z: BatchNorm1d over the label embeddings, then a random Linear drawn anew for every batch."""

from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Drawn = Literal["per_batch", "fixed", "none"]
Shared = Literal["set", "image", "batch"]
Given = Literal["embeddings", "noise", "embeddings_and_noise"]


class NoisyLayer(nn.Module):
    """K-to-1 noisy layer (arXiv 2310.00258, section 3.3): one Linear serves one set of K rows, one row per class.

    The random Linear is the only source of diversity between batches. For embeddings of width D and outputs of width E,
    the Linears of all sets are stored as one Linear from D to sets x E, and applied in one matrix product whose weights
    are never copied. Where each Linear serves rows of its own (`rows_apart`), a batched product is used instead, so
    that no ablation costs more. A batch that is not a multiple of K ends with a shorter set of random classes; a batch
    smaller than K is one set over a slice of a permutation of the classes, with a new slice for each draw.

    Ablations: the Linear `drawn` once and then fixed, or not at all; one Linear `shared` by a set, by one image, or by
    the whole batch; rows not `normalised`; `given` noise, drawn for every image of a batch, in place of the embeddings
    or appended to their outputs, which then are (batch_size, E + D). Without a Linear, E is D.
    """

    embeddings: Tensor
    order: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        embeddings: Tensor,
        latent: int,
        drawn: Drawn = "per_batch",
        shared: Shared = "set",
        normalised: bool = True,
        given: Given = "embeddings",
    ) -> None:
        super().__init__()
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.register_buffer("order", torch.empty(0, dtype=torch.long), persistent=False)
        width = embeddings.shape[1]
        self.norm = nn.BatchNorm1d(width) if normalised else nn.Identity()
        self.outputs = width if drawn == "none" else latent
        self.latent = self.outputs + (width if given == "embeddings_and_noise" else 0)
        self.drawn, self.shared, self.given = drawn, shared, given

    def redraw(self, batch_size: int) -> Tensor:
        """Prepare a new batch: draw weights ~ N(0, 1), with zero bias, if `drawn` says so; returns its labels (N,)."""
        device = self.embeddings.device
        classes, last = self._choose(batch_size)
        place = torch.arange(batch_size, device=device)
        labels = torch.cat([classes.repeat((batch_size - len(last)) // len(classes)), last])
        if self.given != "embeddings":
            self.noise = torch.randn(batch_size, self.embeddings.shape[1], device=device)
        if self.given == "noise":
            self.rows, row = self.noise, place
        else:
            self.rows = self.embeddings[classes]
            row = torch.cat([place[: batch_size - len(last)] % len(classes), last])
        self.each = {"set": len(classes), "image": 1, "batch": batch_size}[self.shared]
        shared_rows = self.drawn != "none" and not self.rows_apart
        self.picked = place // self.each * len(self.rows) + row if shared_rows else row
        if self.drawn == "per_batch" or (self.drawn == "fixed" and not hasattr(self, "weight")):
            count = ceil(batch_size / self.each)
            self.set_linear(
                torch.randn(count * self.outputs, self.embeddings.shape[1], device=device),
                torch.zeros(count * self.outputs, device=device),
            )
        return labels

    def _choose(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """The classes of every full set, and those of a shorter last set (possibly none)."""
        count, device = len(self.embeddings), self.embeddings.device
        if batch_size >= count:
            return torch.arange(count, device=device), torch.randperm(count, device=device)[: batch_size % count]
        if len(self.order) < batch_size:
            self.order = torch.randperm(count, device=device)
        classes, self.order = self.order[:batch_size], self.order[batch_size:]
        return classes, classes[:0]

    def set_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Set weight (Linears x E, D) and bias (Linears x E,) of all Linears."""
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    @property
    def linear(self) -> list[Tensor]:
        """Weight and bias in use, or an empty list if there are none."""
        return [] if self.drawn == "none" or not hasattr(self, "weight") else [self.weight, self.bias]

    @property
    def rows_apart(self) -> bool:
        """Whether each Linear is applied to its own rows only, instead of all Linears to one common table."""
        return self.given == "noise" or self.shared == "image"

    def forward(self) -> Tensor:
        """Latent vectors (batch_size, `latent`) of the last draw; row i belongs to label i of `redraw`."""
        rows: Tensor = self.norm(self.rows)
        if self.drawn != "none" and not self.rows_apart:
            rows = F.linear(rows, self.weight, self.bias).unflatten(1, (-1, self.outputs)).transpose(0, 1).flatten(0, 1)
        rows = rows.index_select(0, self.picked)
        if self.drawn != "none" and self.rows_apart:
            rows = self._each_its_own(rows)
        return torch.cat([rows, self.noise], 1) if self.given == "embeddings_and_noise" else rows

    def _each_its_own(self, rows: Tensor) -> Tensor:
        """Apply each Linear to its own consecutive part of the rows (batch_size, D)."""
        weight, bias = self.weight.unflatten(0, (-1, self.outputs)), self.bias.unflatten(0, (-1, 1, self.outputs))
        whole = F.pad(rows, (0, 0, 0, len(weight) * self.each - len(rows))).unflatten(0, (len(weight), self.each))
        return torch.baddbmm(bias, whole, weight.mT).flatten(0, 1)[: len(rows)]
