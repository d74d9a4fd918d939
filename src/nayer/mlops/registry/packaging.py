"""A student as an MLflow model: raw pixels in, logits out; neither project code nor pickle is needed to load it."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import Schema, TensorSpec

from nayer.export.raw_pixels import RawPixels
from nayer.models.classifier import Classifier

REQUIREMENTS = ("mlflow", "numpy", "torch")
WEIGHTS = "student.safetensors"


def signature(student: Classifier) -> ModelSignature:
    """Model signature: uint8 pixels of any number of images to logits; unnamed, so that a plain array can be sent."""
    images = student.images
    pixels = TensorSpec(np.dtype(np.uint8), (-1, images.channels, images.size, images.size))
    logits = TensorSpec(np.dtype(np.float32), (-1, len(student.class_names)))
    return ModelSignature(Schema([pixels]), Schema([logits]))


def log_student(student: Classifier) -> ModelInfo:
    """Export the student with torch.export and log it to the open run."""
    images = student.images
    # Two images keep the batch size dynamic; a batch of one would be frozen into the graph.
    example = np.zeros((2, images.channels, images.size, images.size), np.uint8)
    with TemporaryDirectory() as folder:
        # Beside torch's format, log the classifier file, from which the student can serve as a teacher (teachers.py).
        file = Path(folder, WEIGHTS)
        student.save(file)
        return _log(student, example, file)


def _log(student: Classifier, example: npt.NDArray[np.uint8], file: Path) -> ModelInfo:
    images = student.images
    info: ModelInfo = mlflow.pytorch.log_model(
        RawPixels(student).eval(),
        name="student",
        serialization_format="pt2",
        signature=signature(student),
        input_example=example,
        extra_files=[str(file)],
        pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in REQUIREMENTS],
        # Everything needed to use the student as the teacher of another one (teachers.py).
        metadata={
            "architecture": student.architecture,
            "class_names": list(student.class_names),
            "mean": list(images.mean),
            "std": list(images.std),
        },
    )
    return info
