"""The student of a new scenario: as asked for, or half of its teacher; its size is reported."""

import pytest

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.scenarios.student import chosen_student, compared, start

CONVNEXT = 'transformers:convnext{"depths":[1,1],"hidden_sizes":[8,16],"image_size":16,"num_stages":2,"patch_size":2}'
HALF = CONVNEXT.replace("[8,16]", "[4,8]")
PERCEIVER = 'transformers:perceiver{"d_latents":8,"d_model":8,"num_latents":4}'


def teacher_of(architecture: str) -> Classifier:
    return Classifier.build(architecture, ("ant", "bee", "cat"), ImageSpec(16, 1, (0.3,), (0.4,)))


@pytest.mark.parametrize(
    ("architecture", "asked", "ours", "chosen"),
    [
        (CONVNEXT, None, True, HALF),
        (CONVNEXT, None, False, None),
        (CONVNEXT, "wrn-10-1", True, "wrn-10-1"),
        (CONVNEXT, "half", False, HALF),
        (PERCEIVER, None, True, None),
        ("wrn-16-2", None, True, None),
        ("wrn-16-1", None, True, "half:wrn-16-1"),
        ("wrn-16-2", "half", False, "wrn-16-1"),
        ("resnet-18", None, True, "half:resnet-18"),
        ("resnet-18", None, False, None),
        ("wrn-16-2", "wrn-10-1", False, "wrn-10-1"),
    ],
)
def test_where_the_choice_is_ours_a_teacher_but_a_larger_wrn_has_half_of_itself(architecture, asked, ours, chosen):
    assert chosen_student(asked, teacher_of(architecture), ours) == chosen


def test_half_of_what_has_none_is_refused():
    with pytest.raises(InputError, match="STUDENT: 'half': 'transformers:perceiver' relies on its full widths"):
        chosen_student("half", teacher_of(PERCEIVER), ours=False)


def test_half_of_a_teacher_starts_from_its_weights_and_another_network_does_not():
    teacher = teacher_of(CONVNEXT)
    assert start(HALF, teacher)["start"] == "reconstructed"
    assert start("wrn-10-1", teacher) == {"start": "random"}


def test_a_student_made_of_its_teacher_is_compared_with_it_by_features_if_both_have_some():
    assert start(HALF, teacher_of(CONVNEXT))["feature_weight"] == 3.0
    # No features: the classifier of SqueezeNet is a convolution.
    without = Classifier.build("torchvision:squeezenet1_1", ("ant", "bee"), ImageSpec(32, 3, (0.3,) * 3, (0.4,) * 3))
    found = start(chosen_student(None, without, ours=True), without)
    assert found == {"start": "reconstructed", "learning_rate": 0.05, "rise": 0.2}


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (
            "wrn-10-1",
            "has 77.1 k parameters of 77.1 k and 3.05 M multiply-adds of 3.05 M: no fewer parameters and multiply-adds "
            "than its teacher; give another STUDENT.",
        ),
        (HALF, "transformers:convnext, has 1.55 k parameters of 77.1 k and 38.3 k multiply-adds of 3.05 M."),
    ],
)
def test_how_much_smaller_it_is_is_told(student, said):
    told = compared(student, teacher_of("wrn-10-1")).replace("\N{NO-BREAK SPACE}", " ")
    assert told.startswith("The student, ")
    assert told.endswith(said)
