"""Parameters of the teacher."""

from typing import Annotated

from pydantic import Field

from nayer.core.config import (
    MAX_VALUE,
    Architecture,
    BatchSize,
    Config,
    Count,
    Finite,
    Fraction,
    Momentum,
    Place,
    Rate,
    Text,
    Weight,
)
from nayer.core.images import AugmentationConfig

TRAIN = "train"
"""Value of `teacher.source` for a teacher that has yet to be trained."""


class TrainingConfig(Config):
    """A supervised recipe: SGD with Nesterov momentum, one cycle of the learning rate."""

    epochs: Count
    """Passes over the training images."""
    batch_size: BatchSize
    """Training images per step."""
    learning_rate: Rate
    """Peak learning rate of the one-cycle schedule."""
    warmup: Fraction
    """Share of all steps during which the learning rate rises to its peak."""
    momentum: Momentum
    """Momentum of SGD."""
    weight_decay: Weight
    """Weight decay of SGD."""
    label_smoothing: Fraction
    """Share of each label that is spread over all classes; students of such a teacher are worse (arXiv 1906.02629)."""
    augmentation: AugmentationConfig
    """Augmentation of the training images."""


# A far smaller value would be 0 in fp32, by which images would be divided.
Deviation = Annotated[float, Field(ge=1e-6, le=MAX_VALUE)]


class Normalisation(Config):
    """Mean and standard deviation that existing weights expect, per channel on the [0, 1] scale."""

    mean: Annotated[list[Finite], Field(min_length=1)]
    std: Annotated[list[Deviation], Field(min_length=1)]


class TeacherConfig(Config):
    """The teacher: trained here, or made from existing weights."""

    source: Text
    """train (on the real data), or the origin of existing weights: file, mlflow, torchvision, timm or transformers."""
    weights: Place | None
    """Existing weights, for any source but train: a file (.safetensors, .pt2, or written by torch.save; no pickled code
    is run), an MLflow URI such as models:/name/3, a published name (ResNet18_Weights.IMAGENET1K_V1,
    resnet18.a1_in1k@commit), or, for timm and transformers, a folder or an id on the hub, owner/name@commit. A commit
    may be any revision on the hub; without one, the newest is taken."""
    architecture: Architecture
    """The teacher's network: wrn-D-W (depth, width), resnet-18, resnet-34, vgg-11-bn, torchvision:NAME, timm:NAME,
    timm:NAME{sizes that differ, such as "patch_size":4}, transformers:KIND{values that differ from that kind's
    defaults}, package.module:factory of your own, or half: in front of any of these."""
    normalisation: Text | Normalisation | None
    """Normalisation that existing weights expect: digits, fashion_mnist, cifar10, cifar100, imagenet, half, none, or
    mean and std."""
    training: TrainingConfig | None
    """Training recipe; null where nothing is trained."""
