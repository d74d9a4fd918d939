"""What alternating methods have in common."""

import pytest
import torch


@pytest.mark.parametrize("name", ["dafl", "dfq"])
def test_the_student_learns_the_answers_as_they_are_not_softened(make_method, name):
    teacher_logits, logits = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    shares = teacher_logits.softmax(1)
    apart = (shares * (shares.log() - logits.log_softmax(1))).sum()
    torch.testing.assert_close(make_method(name).student_loss(teacher_logits, logits), apart)
