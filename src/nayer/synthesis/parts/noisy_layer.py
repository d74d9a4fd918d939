"""The noisy layer Z: BatchNorm1d over the label-text embeddings, then a random Linear drawn anew for every batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NoisyLayer(nn.Module):
    """K-to-1 noisy layer (arXiv 2310.00258, section 3.3): one Linear serves one set of K rows, one row per class.

    The random Linear is the only source of diversity between batches. Those of all sets are one Linear from D to
    sets x E, for embeddings of width D and outputs of width E: one matrix product, whose weights are never copied. A
    batch that is no multiple of K ends in a shorter set of random classes; a batch smaller than K is one set on a
    slice of a permutation of the classes, a new slice per draw.
    """

    embeddings: Tensor
    order: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, embeddings: Tensor, latent: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.register_buffer("order", torch.empty(0, dtype=torch.long), persistent=False)
        self.norm = nn.BatchNorm1d(embeddings.shape[1])
        self.latent = latent

    def redraw(self, batch_size: int) -> Tensor:
        """Draw the Linear ~ N(0, 1) with zero bias for a new batch; returns its labels (batch_size,)."""
        classes, width = self.embeddings.shape
        device = self.embeddings.device
        sets, rest = divmod(batch_size, classes)
        if sets:
            self.classes = torch.arange(classes, device=device)
            last = torch.randperm(classes, device=device)[:rest]
        else:
            if len(self.order) < batch_size:
                self.order = torch.randperm(classes, device=device)
            self.classes, self.order = self.order[:batch_size], self.order[batch_size:]
            sets, last = 1, self.classes[:0]
        count = sets + bool(len(last))
        self.picked = torch.cat([torch.arange(sets * len(self.classes), device=device), sets * classes + last])
        self.weight = nn.Parameter(torch.randn(count * self.latent, width, device=device))
        self.bias = nn.Parameter(torch.zeros(count * self.latent, device=device))
        return torch.cat([self.classes.repeat(sets), last])

    def forward(self) -> Tensor:
        """The latent vectors (batch_size, E) of the last draw; row i belongs to label i of `redraw`."""
        rows = self.norm(self.embeddings[self.classes])
        by_class = F.linear(rows, self.weight, self.bias).unflatten(1, (-1, self.latent))
        latent: Tensor = by_class.transpose(0, 1).flatten(0, 1).index_select(0, self.picked)
        return latent
