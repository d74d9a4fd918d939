"""Dead leaves: the teacher says what it sees in pictures that nothing was learnt for."""

import torch

from nayer.core.images import to_float
from nayer.synthesis.method import TOTAL


def test_each_picture_counts_for_the_class_that_the_teacher_sees_and_their_balance_is_told(
    make_method, student, teacher
):
    made = make_method("dead_leaves", synthesis__batch_size=64).step(student)
    logits = teacher(to_float(made.images))
    assert torch.equal(made.labels, made.predictions)
    assert (made.labels == logits.argmax(1)).float().mean() > 0.95  # the teacher saw them before they became uint8
    shares = logits.softmax(1).mean(0)
    torch.testing.assert_close(made.losses["balance"], (shares * shares.log()).sum(), atol=0.01, rtol=0)
    assert made.losses[TOTAL] == made.losses["balance"]


def test_what_the_student_is_and_how_many_steps_are_asked_for_changes_nothing(make_method, student):
    drawn = []
    for steps in (1, 7):
        torch.manual_seed(2)
        drawn.append(make_method("dead_leaves", synthesis__steps=steps).step(student).images)
    assert torch.equal(*drawn)
