"""What a student can be compared with its teacher by beside logits: the features that these are made of."""

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.synthesis.parts.features import LayerInputs, as_given, head_of

KEY = "distill.student.feature_weight"


class Answers:
    """A classifier's logits and, beside them in one tensor, the features that its last linear layer is given.

    Raises:
        InputError: it has no linear layer.
    """

    def __init__(self, classifier: Classifier, projection: nn.Linear | None = None) -> None:
        head = head_of(classifier.network)
        if head is None:
            raise InputError(
                f"{KEY}: '{classifier.architecture}' has no linear layer whose inputs would be its features; set it to "
                "0 to compare logits alone."
            )
        self.classifier, self.projection, self.width = classifier, projection, head.in_features
        self.inputs = LayerInputs([head], as_given)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) pixels in [0, 1] -> (N, classes + features), the features as the projection shows them.

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
        return torch.cat([logits, self.projection(features) if self.projection else features], 1)


def feature_count(teacher: Classifier, config: StudentConfig) -> int:
    """How many features of its teacher the student is compared by.

    Raises:
        InputError: it is to be, and the teacher has none.
    """
    return Answers(teacher).width if config.feature_weight else 0
