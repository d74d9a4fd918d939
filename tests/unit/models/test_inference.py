"""A classifier's answers do not depend on how it is asked."""

import torch

from nayer.core.images import to_float
from nayer.datasets import ImageSet
from nayer.models.inference import BATCH_SIZE, accuracy, predict

CPU = torch.device("cpu")


def test_predictions_do_not_hang_on_the_batches_or_on_training_mode(teacher):
    images = torch.randint(0, 256, (7, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = teacher(to_float(images)).detach()
    teacher.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = predict(teacher, images, CPU, 3)
    assert found.shape == (7, 3)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found, expected)


def test_accuracy_counts_every_image_once(teacher):
    images = torch.randint(0, 256, (BATCH_SIZE + 3, 1, 8, 8), dtype=torch.uint8)
    labels = predict(teacher, images, CPU).argmax(1)
    labels[-2:] += 1
    assert accuracy(teacher, ImageSet(images, labels), CPU) == (BATCH_SIZE + 1) / (BATCH_SIZE + 3)
