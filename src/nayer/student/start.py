"""The student before its first step."""

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.models.inheritance import inherit, inherited_share
from nayer.models.reconstruction import pictures_for, reconstruct
from nayer.student.config import StudentConfig
from nayer.student.features import feature_count
from nayer.synthesis.parts.matching import MatchedLeaves

# Less is another family, of which a few names are the same by chance.
LEAST_SHARE = 0.5
# Of the pictures that layers are fitted on, towards what a teacher's BatchNorm layers know.
MATCHING_STEPS = 8
STUDENT_KEY = "distill.student.architecture"


def new_student(teacher: Classifier, config: StudentConfig) -> Classifier:
    """On its teacher's device, with random weights, or with those of its teacher as far as it goes.

    Raises:
        InputError: the architecture is unknown, or not of the teacher's family and is to start from it.
    """
    student = blank_student(teacher, config).to(teacher.mean.device)
    if config.start == "teacher":
        inherit(student.network, teacher.network)
    if config.start == "reconstructed":
        pictures, _, _ = MatchedLeaves(teacher.eval()).draw(pictures_for(teacher.images.size), MATCHING_STEPS)
        reconstruct(student.eval(), teacher, pictures)
    return student


def blank_student(teacher: Classifier, config: StudentConfig) -> Classifier:
    """With random weights, and able to start and to be compared with its teacher as it is to.

    Raises:
        InputError: as of `new_student`.
    """
    student = Classifier.build(config.architecture, teacher.class_names, teacher.images, key=STUDENT_KEY)
    if config.start != "random" and not of_one_family(student, teacher):
        raise InputError(
            f"distill.student.start: '{config.start}' is for a student of its teacher's family, and most layers of "
            f"{config.architecture} have no counterpart in {teacher.architecture}; set random, or take another student."
        )
    for each in (student, teacher):
        feature_count(each, config)
    return student


def of_one_family(student: Classifier, teacher: Classifier) -> bool:
    """Whether the student can start from its teacher's weights."""
    return inherited_share(student.network, teacher.network) >= LEAST_SHARE
