"""ADI: DeepInversion with a contest between the student and its teacher."""

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from nayer.synthesis.parts.losses import jensen_shannon


def test_jensen_shannon_is_that_of_scipy():
    torch.manual_seed(0)
    teacher, student = 3 * torch.randn(5, 4), 3 * torch.randn(5, 4)
    pairs = zip(teacher.softmax(1).tolist(), student.softmax(1).tolist(), strict=True)
    expected = sum(jensenshannon(p, q) ** 2 for p, q in pairs) / 5
    assert jensen_shannon(teacher, student).item() == pytest.approx(expected, rel=1e-5)


def test_adi_competes_with_the_student_after_the_warm_up_and_deepinversion_never_asks_it(make_method, student, teacher):
    asked = []
    student.register_forward_hook(lambda *_: asked.append(True))
    plain = make_method("deep_inversion", synthesis__steps=2)
    adaptive = make_method("adi", synthesis__steps=2, augmentation__padding=0)
    for method in (plain, adaptive):
        method.start_epoch(0)
        method.step(student)
    plain.start_epoch(plain.context.schedule.warmup_epochs)
    plain.step(student)
    assert not asked
    adaptive.start_epoch(adaptive.context.schedule.warmup_epochs)
    images, labels = torch.rand(4, 1, 8, 8), torch.arange(4) % 3
    with adaptive.loss.for_one_batch(student):
        losses, _ = adaptive.losses(torch.randn(4, 1, 8, 8), labels, student, images)
    assert asked
    expected = 1 - jensen_shannon(teacher(images) / 3, student.eval()(images) / 3)
    torch.testing.assert_close(losses["adversarial"], expected)
