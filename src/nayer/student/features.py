"""Features before the last linear layer, by which student and teacher can be compared in addition to logits."""

from math import log2

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.synthesis.parts.features import LayerInputs, as_given, head_of, inputs_by_layer

# Keeps the logarithm finite for a head whose weights are all zero.
LEAST_NORM = 1e-6
KEY = "distill.student.feature_weight"


class Answers:
    """A classifier that returns its logits and, behind them in one tensor, the inputs of its last linear layer.

    Raises:
        InputError: the classifier has no such features.
    """

    def __init__(self, classifier: Classifier, projection: nn.Linear | None = None) -> None:
        head = feature_layer(classifier)
        self.classifier, self.projection, self.width = classifier, projection, head.in_features
        self.inputs = LayerInputs([head], as_given)
        # Scaled to about the size of the logits, features fit half precision; a power of two adds no rounding error.
        self.scale = 2.0 ** round(log2(max(float(head.weight.detach().norm(dim=1).mean()), LEAST_NORM)))

    def __call__(self, images: Tensor) -> Tensor:
        """Pixels (N, C, H, W) in [0, 1] -> (N, classes + features), with features projected, or else scaled."""
        with self.inputs.recording():
            logits = self.classifier(images)
            features = self.inputs.found[0]
        return torch.cat([logits, self.projection(features) if self.projection else self.scale * features], 1)


def feature_layer(classifier: Classifier) -> nn.Linear:
    """The last linear layer, whose inputs are the features.

    Raises:
        InputError: there is none, or its inputs are not one row of features for each image.
    """
    head, instead = head_of(classifier), "; set it to 0 to compare logits alone."
    if head is None:
        raise InputError(
            f"{KEY}: '{classifier.architecture}' has no linear layer whose inputs would be its features{instead}"
        )
    shape = tuple(inputs_by_layer(classifier, [head])[head])
    if shape[1:] != (head.in_features,):
        raise InputError(
            f"{KEY}: the last linear layer of '{classifier.architecture}' is given {shape} for {shape[0]} images, not "
            f"a row of features for each{instead}"
        )
    return head


def has_features(classifier: Classifier) -> bool:
    """Whether a classifier can be compared by features."""
    try:
        feature_layer(classifier)
    except InputError:
        return False
    return True


def feature_count(teacher: Classifier, config: StudentConfig) -> int:
    """Number of the teacher's features that the student is compared by; 0 if `feature_weight` is 0.

    Raises:
        InputError: `feature_weight` is not 0, and the teacher has no features.
    """
    return Answers(teacher).width if config.feature_weight else 0
