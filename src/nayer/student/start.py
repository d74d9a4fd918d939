"""Construction of the student and its weights before the first step."""

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.models.inheritance import inherit, inherited_share
from nayer.models.reconstruction import pictures_for, reconstruct
from nayer.student.config import StudentConfig
from nayer.student.features import feature_count
from nayer.synthesis.parts.matching import MatchedLeaves

# With a smaller share of matching weights, the student is of another family and a few names agree by chance.
LEAST_SHARE = 0.5
# Optimiser steps that match the pictures for fitting layers to the teacher's BatchNorm statistics.
MATCHING_STEPS = 8
STUDENT_KEY = "distill.student.architecture"


def new_student(teacher: Classifier, config: StudentConfig) -> Classifier:
    """A student on its teacher's device, with random weights or weights made from the teacher's (`config.start`).

    Raises:
        InputError: the architecture is unknown, or is to start from a teacher of another family, or features are to
            be compared and one of the two has none.
    """
    student = blank_student(teacher, config).to(teacher.mean.device)
    if config.start == "teacher":
        inherit(student.network, teacher.network)
    if config.start == "reconstructed":
        pictures, _, _ = MatchedLeaves(teacher.eval()).draw(pictures_for(teacher.images.size), MATCHING_STEPS)
        reconstruct(student.eval(), teacher, pictures)
    return student


def blank_student(teacher: Classifier, config: StudentConfig) -> Classifier:
    """A student with random weights, checked to support the configured start and feature comparison.

    Raises:
        InputError: as for `new_student`.
    """
    student = Classifier.build(config.architecture, teacher.class_names, teacher.images, key=STUDENT_KEY)
    if config.start != "random" and not of_one_family(student, teacher):
        raise InputError(
            f"distill.student.start: '{config.start}' is for a student of its teacher's family, but most layers of "
            f"{config.architecture} have no counterpart in {teacher.architecture}; set random, or name another student."
        )
    for each in (student, teacher):
        feature_count(each, config)
    return student


def of_one_family(student: Classifier, teacher: Classifier) -> bool:
    """Whether the student can start from its teacher's weights."""
    return inherited_share(student.network, teacher.network) >= LEAST_SHARE
