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
"""The source of a teacher that does not exist yet."""


class TrainingConfig(Config):
    """A supervised recipe: SGD with Nesterov momentum, one cycle of the learning rate."""

    epochs: Count
    """Passes over the training images."""
    batch_size: BatchSize
    """Images of a step."""
    learning_rate: Rate
    """Peak of the one-cycle schedule."""
    warmup: Fraction
    """Share of the steps in which the rate rises."""
    momentum: Momentum
    """Of SGD."""
    weight_decay: Weight
    """Of SGD."""
    label_smoothing: Fraction
    """Share of the label that is spread over all classes; students of such a teacher are worse (arXiv 1906.02629)."""
    augmentation: AugmentationConfig
    """Of the training images."""


# In fp32, less is a division by zero.
Deviation = Annotated[float, Field(ge=1e-6, le=MAX_VALUE)]


class Normalisation(Config):
    """What a teacher that exists expects its images to be normalised by, per channel on the [0, 1] scale."""

    mean: Annotated[list[Finite], Field(min_length=1)]
    std: Annotated[list[Deviation], Field(min_length=1)]


class TeacherConfig(Config):
    """The teacher: trained here, or one that exists."""

    source: Text
    """train it on the real data, or take weights that exist: of a file, mlflow, torchvision, timm or transformers."""
    weights: Place | None
    """A file (.safetensors, .pt2, or what torch.save wrote; no pickle is run), an MLflow URI such as models:/name/3,
    the published name (ResNet18_Weights.IMAGENET1K_V1, resnet18.a1_in1k@commit), or of transformers a folder or an id
    on the hub, owner/name@commit. A commit may be any revision of the hub; without one it is the newest."""
    architecture: Architecture
    """wrn-D-W, resnet-18, resnet-34, vgg-11-bn, torchvision:NAME, timm:NAME, timm:NAME{sizes that differ, such as
    "patch_size":4}, transformers:KIND{what differs from that kind's defaults}, package.module:factory of your own, or
    half: and any of these."""
    normalisation: Text | Normalisation | None
    """For weights that exist: digits, fashion_mnist, cifar10, cifar100, imagenet, half, none, or mean and std."""
    training: TrainingConfig | None
    """The recipe; null where nothing is trained."""
