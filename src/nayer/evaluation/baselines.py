"""The student's ceiling and floor: the same student and recipe on real data, and on noise."""

import torch

from nayer.config import DistillConfig, RuntimeConfig
from nayer.datasets import RealData
from nayer.evaluation.metrics import predict, share
from nayer.images import Augmentation
from nayer.models.classifier import Classifier, freeze
from nayer.synthesis.memory import MemoryBank
from nayer.training.device import autocast, resolve_device
from nayer.training.reporting import Reporter
from nayer.training.student import StudentTrainer, Target, TeacherTarget


def accuracy_of(
    name: str,
    teacher: Classifier,
    real: RealData,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> float:
    """Test accuracy, at its last step, of a student trained for as many steps as the data-free one.

    `real`: cross-entropy on the real labels. `kd_real`: the teacher's answers on real images. `kd_noise`: its answers
    on uniform noise.
    """
    torch.manual_seed(seed)
    device = resolve_device(runtime)
    precision = autocast(runtime, device)
    freeze(teacher).to(device)
    _, channels, height, width = real.train.images.shape
    pool = MemoryBank(len(real.train), (channels, height, width), device)
    pool.add((noise_like if name == "kd_noise" else same)(real.train.images).to(device), real.train.labels.to(device))
    student = Classifier.build(config.student.architecture, teacher.class_names, teacher.images).to(device)
    augment = Augmentation(config.augmentation.padding, config.augmentation.flip)
    steps = config.epochs * config.student.steps
    trainer = StudentTrainer(student, config.student, augment, steps, precision)
    target: Target = cross_entropy if name == "real" else TeacherTarget(teacher, config.student.temperature, precision)
    reporter.begin(f"baseline {name}", config.epochs, 0)
    for step in range(steps):
        images, labels = pool.draw(config.student.batch_size)
        trainer.step(images, labels, target)
        reporter.advance((step + 1) / config.student.steps, "")
    reporter.end()
    return share(predict(student, real.test.images, 500, device).argmax(1) == real.test.labels)


def cross_entropy(_: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The target of plain training."""
    return torch.nn.functional.cross_entropy(logits.float(), labels)


def noise_like(images: torch.Tensor) -> torch.Tensor:
    """Uniform noise in the shape of `images`."""
    return torch.randint_like(images, 0, 256)


def same(images: torch.Tensor) -> torch.Tensor:
    """The images themselves."""
    return images
