"""What inversion changes in the networks that it uses."""

from nayer.synthesis.parts.inversion import frozen


def test_a_student_is_frozen_inside_and_afterwards_learns_what_it_learnt_before(teacher):
    student = teacher
    student.network.stem.requires_grad_(False)
    before = [each.requires_grad for each in student.parameters()]
    student.train()
    with frozen(student):
        assert not student.training
        assert not any(each.requires_grad for each in student.parameters())
    assert student.training
    assert [each.requires_grad for each in student.parameters()] == before
    assert len(set(before)) == 2
