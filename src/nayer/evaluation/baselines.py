"""The student's ceiling and floor: the same student and recipe on real data, and on noise."""

from functools import partial

import torch
import torch.nn.functional as F

from nayer.core.errors import InputError
from nayer.core.images import to_float
from nayer.datasets import RealData
from nayer.distillation.config import DistillConfig
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import autocast, resolve_device, resolve_precision
from nayer.engine.progress import Reporter
from nayer.evaluation.config import EvaluateConfig
from nayer.models.classifier import Classifier, freeze
from nayer.models.inference import accuracy
from nayer.student.features import feature_count
from nayer.student.losses import distillation_loss, with_features
from nayer.student.start import new_student
from nayer.student.targets import OnlineTargets
from nayer.student.trainer import StudentTrainer
from nayer.synthesis.memory import MemoryBank


def check_baselines(evaluate: EvaluateConfig, dataset: str) -> None:
    """Refuse baselines; called for a data set without training images.

    Raises:
        InputError: baselines are asked for; names the key.
    """
    if evaluate.baselines:
        raise InputError(
            f"evaluate.baselines: {evaluate.baselines} need training images, which data.dataset: {dataset} lacks; "
            "set []."
        )


def accuracy_of(
    name: str,
    teacher: Classifier,
    real: RealData,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> float:
    """Test accuracy, after its last step, of a student trained for as many steps as the data-free one.

    The `name` says what it learns from: `real`, cross-entropy on the real labels; `kd_real`, the teacher's answers to
    real images; `kd_noise`, the teacher's answers to uniform noise.
    """
    torch.manual_seed(seed)
    device = resolve_device(runtime)
    precision = autocast(device, resolve_precision(runtime, device))
    freeze(teacher).to(device)
    _, channels, height, width = real.train.images.shape
    pool = MemoryBank(len(real.train), (channels, height, width), device)
    pool.add((noise_like if name == "kd_noise" else same)(real.train.images).to(device), real.train.labels.to(device))
    student = new_student(teacher, config.student)
    augment = config.augmentation.build()
    features = 0 if name == "real" else feature_count(teacher, config.student)
    taught = OnlineTargets(teacher, pool, augment, precision, features)
    steps, batch = config.epochs * config.student.steps, config.student.batch_size
    trainer = StudentTrainer(student, config.student, steps, precision, features)
    compared = with_features(
        partial(distillation_loss, temperature=config.student.temperature),
        len(teacher.class_names),
        config.student.feature_weight,
    )
    reporter.begin(f"baseline {name}", config.epochs, 0)
    for step in range(steps):
        if name == "real":
            slots = pool.draw(batch)
            trainer.step(augment(to_float(pool.take(slots))), partial(cross_entropy, pool.labels[slots]))
        else:
            taught.deal(batch)
            views, teacher_answers = taught.views()
            trainer.step(views, partial(compared, teacher_answers))
        trainer.advance()
        reporter.advance((step + 1) / config.student.steps, "")
    reporter.end()
    return accuracy(student, real.test, device)


def cross_entropy(labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, the loss of training on labels."""
    return F.cross_entropy(logits.float(), labels)


def noise_like(images: torch.Tensor) -> torch.Tensor:
    """Uniform noise in the shape of `images`."""
    return torch.randint_like(images, 0, 256)


def same(images: torch.Tensor) -> torch.Tensor:
    """The images themselves."""
    return images
