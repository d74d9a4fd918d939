"""Dead leaves: the teacher labels pictures that are drawn and then matched to its statistics."""

import torch

from nayer.core.images import to_float, to_uint8
from nayer.synthesis.method import TOTAL
from nayer.synthesis.parts.leaves import dead_leaves


def test_each_picture_counts_for_the_class_that_the_teacher_sees_and_their_balance_is_told(
    make_method, student, teacher
):
    made = make_method("dead_leaves", synthesis__batch_size=64).step(student)
    logits = teacher(to_float(made.images))
    assert torch.equal(made.labels, made.predictions)
    assert (made.labels == logits.argmax(1)).float().mean() > 0.95  # the teacher saw them before they became uint8
    shares = logits.softmax(1).mean(0)
    torch.testing.assert_close(made.losses["balance"], (shares * shares.log()).sum(), atol=0.01, rtol=0)
    assert made.losses[TOTAL] == made.losses["bn"]


def test_without_steps_they_are_as_drawn_and_with_more_nearer_to_what_the_teacher_knows(make_method, student, teacher):
    made = {}
    for steps in (0, 2, 8):
        method = make_method("dead_leaves", synthesis__batch_size=32, synthesis__steps=steps)
        torch.manual_seed(2)
        made[steps] = method.step(student)
    torch.manual_seed(2)
    assert torch.equal(made[0].images, to_uint8(dead_leaves(teacher, 32)))
    assert made[8].losses["bn"] < made[2].losses["bn"] < made[0].losses["bn"]
