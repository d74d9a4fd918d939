"""The student before its first step."""

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.models.inheritance import inherit, inherited_share
from nayer.student.config import StudentConfig

# Less is another family, of which a few names are the same by chance.
LEAST_SHARE = 0.5
STUDENT_KEY = "distill.student.architecture"


def new_student(teacher: Classifier, config: StudentConfig) -> Classifier:
    """With random weights, or with those of its teacher as far as it goes.

    Raises:
        InputError: the architecture is unknown, or not of the teacher's family and is to start from it.
    """
    architecture = config.architecture
    student = Classifier.build(architecture, teacher.class_names, teacher.images, key=STUDENT_KEY)
    if config.start == "teacher":
        if not of_one_family(student, teacher):
            raise InputError(
                f"distill.student.start: 'teacher' is for a student of its teacher's family, and most layers of "
                f"{architecture} have no counterpart in {teacher.architecture}; set random, or take another student."
            )
        inherit(student.network, teacher.network)
    return student


def of_one_family(student: Classifier, teacher: Classifier) -> bool:
    """Whether the student can start from its teacher's weights."""
    return inherited_share(student.network, teacher.network) >= LEAST_SHARE
