"""The student of a new scenario: its network, its start, and how much smaller than its teacher it is."""

from typing import Any

from nayer.core.errors import InputError
from nayer.core.formats import compact
from nayer.evaluation.cost import multiply_adds
from nayer.models.classifier import Classifier
from nayer.models.halves import HALF, half_of
from nayer.scenarios.minutes import SMALL_WRN, from_its_teacher
from nayer.student.features import has_features
from nayer.student.start import STUDENT_KEY, of_one_family


def chosen_student(asked: str | None, teacher: Classifier, ours: bool) -> str | None:
    """Architecture that was asked for; None stands for that of the scenario or the recipe.

    If none was and the choice is `ours`, it is the teacher's network at half the width, where that is known: such a
    student starts from the teacher's weights, and others would take hours to learn as much (docs/results/minutes.md,
    docs/results/priors.md). A WRN gets the student of the recipe, if that is smaller.

    Raises:
        InputError: half of the teacher was asked for, but is not known.
    """
    if asked == HALF:
        return half_of(teacher, "STUDENT").architecture
    if asked or not ours or has_smaller(teacher):
        return asked
    try:
        return half_of(teacher, "STUDENT").architecture
    except InputError:
        return None


def has_smaller(teacher: Classifier) -> bool:
    """Whether the recipe's student is of the teacher's family, a WRN, and has fewer weights."""
    if not teacher.architecture.startswith("wrn-"):
        return False
    return Classifier.build(SMALL_WRN, teacher.class_names, teacher.images).parameter_count < teacher.parameter_count


def start(architecture: str, teacher: Classifier) -> dict[str, Any]:
    """Start of the student: from its teacher's weights if it is of its family, which is better for few steps."""
    student = Classifier.build(architecture, teacher.class_names, teacher.images, STUDENT_KEY)
    if not of_one_family(student, teacher):
        return {"start": "random"}
    return from_its_teacher(features=has_features(student) and has_features(teacher))


def compared(architecture: str, teacher: Classifier) -> str:
    """Message on how much smaller than its teacher the student is, and what to do if it is not."""
    student = Classifier.build(architecture, teacher.class_names, teacher.images, STUDENT_KEY).eval()
    shape = (teacher.images.channels, teacher.images.size, teacher.images.size)
    sizes = {
        "parameters": (student.parameter_count, teacher.parameter_count),
        "multiply-adds": (multiply_adds(student, shape), multiply_adds(teacher.eval(), shape)),
    }
    told = " and ".join(f"{compact(own)} {what} of {compact(theirs)}" for what, (own, theirs) in sizes.items())
    larger = " and ".join(what for what, (own, theirs) in sizes.items() if own >= theirs)
    advice = f": no fewer {larger} than its teacher; give another STUDENT" if larger else ""
    return f"The student, {architecture.partition('{')[0]}, has {told}{advice}."
