"""A student for methods that ask it, and for those that do not."""

import pytest
import torch

from nayer.models.classifier import Classifier


@pytest.fixture
def student(teacher) -> Classifier:
    torch.manual_seed(3)
    return Classifier.build("wrn-10-1", teacher.class_names, teacher.images).train()
