"""What a student can be compared with its teacher by beside logits: the features that these are made of."""

from math import log2

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.synthesis.parts.features import LayerInputs, as_given, head_of, inputs_by_layer

# A head that answers nothing has none.
LEAST_NORM = 1e-6
KEY = "distill.student.feature_weight"


class Answers:
    """A classifier's logits and, beside them in one tensor, the features that its last linear layer makes these of.

    Raises:
        InputError: it has none.
    """

    def __init__(self, classifier: Classifier, projection: nn.Linear | None = None) -> None:
        head = feature_layer(classifier)
        self.classifier, self.projection, self.width = classifier, projection, head.in_features
        self.inputs = LayerInputs([head], as_given)
        # Half precision holds features that are as large as the logits they make, and a power of two rounds none.
        self.scale = 2.0 ** round(log2(max(float(head.weight.detach().norm(dim=1).mean()), LEAST_NORM)))

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) pixels in [0, 1] -> (N, classes + features), these scaled, or as the projection shows them."""
        with self.inputs.recording():
            logits = self.classifier(images)
            features = self.inputs.found[0]
        return torch.cat([logits, self.projection(features) if self.projection else self.scale * features], 1)


def feature_layer(classifier: Classifier) -> nn.Linear:
    """The last linear layer, which is given the features.

    Raises:
        InputError: there is none, or it is given something else than a row of features for each image.
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
    """Whether it can be compared by features."""
    try:
        feature_layer(classifier)
    except InputError:
        return False
    return True


def feature_count(teacher: Classifier, config: StudentConfig) -> int:
    """How many features of its teacher the student is compared by.

    Raises:
        InputError: it is to be, and the teacher has none.
    """
    return Answers(teacher).width if config.feature_weight else 0
