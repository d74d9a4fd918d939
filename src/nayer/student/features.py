"""What a student can be compared with its teacher by beside logits: the features that these are made of."""

from math import log2

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.synthesis.parts.features import LayerInputs, as_given, head_of

# A head that answers nothing has none.
LEAST_NORM = 1e-6
KEY = "distill.student.feature_weight"


class Answers:
    """A classifier's logits and, beside them in one tensor, the features that its last linear layer makes these of.

    Raises:
        InputError: it has no such layer.
    """

    def __init__(self, classifier: Classifier, projection: nn.Linear | None = None) -> None:
        head = head_of(classifier)
        if head is None:
            raise InputError(
                f"{KEY}: '{classifier.architecture}' has no linear layer whose inputs would be its features; set it to "
                "0 to compare logits alone."
            )
        self.classifier, self.projection, self.width = classifier, projection, head.in_features
        self.inputs = LayerInputs([head], as_given)
        # Half precision holds features that are as large as the logits they make, and a power of two rounds none.
        self.scale = 2.0 ** round(log2(max(float(head.weight.detach().norm(dim=1).mean()), LEAST_NORM)))

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) pixels in [0, 1] -> (N, classes + features), these scaled, or as the projection shows them.

        Raises:
            InputError: the last linear layer is given something else than a row of features for each image.
        """
        with self.inputs.recording():
            logits = self.classifier(images)
            features = self.inputs.found[0]
        if features.shape != (len(images), self.width):
            raise InputError(
                f"{KEY}: the last linear layer of '{self.classifier.architecture}' is given {tuple(features.shape)} "
                f"for {len(images)} images, not a row of features for each; set it to 0 to compare logits alone."
            )
        return torch.cat([logits, self.projection(features) if self.projection else self.scale * features], 1)


def feature_count(teacher: Classifier, config: StudentConfig) -> int:
    """How many features of its teacher the student is compared by.

    Raises:
        InputError: it is to be, and the teacher has none.
    """
    return Answers(teacher).width if config.feature_weight else 0
