"""What can be known to be wrong before any work starts."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nayer import datasets
from nayer.config import (
    DataConfig,
    DistillConfig,
    EvaluateConfig,
    LteConfig,
    PromoteConfig,
    RuntimeConfig,
    TeacherConfig,
)
from nayer.errors import InputError
from nayer.lte.embeddings import check_class_names
from nayer.lte.encoders import check_encoder
from nayer.mlops.onnx import check_onnx
from nayer.mlops.teachers import registered_weights
from nayer.models.architectures import build_network, check_image_size, check_logits
from nayer.models.classifier import Classifier
from nayer.models.generator import upsamplings
from nayer.training.device import resolve_device
from nayer.training.distillation_setup import check_batchnorm, share_of
from nayer.training.existing import existing_teacher
from nayer.training.launch import check_processes

LEAST_FREE_BYTES = 100 * 2**20
# Of a student that is checked where nothing says what its images are.
CHANNELS = 3


def check_parameters(parameters: Mapping[str, Any], pipelines: Iterable[str]) -> None:
    """Check the parameters of the pipelines that will run against each other and against this machine.

    Their types and ranges were checked before, when Kedro read them.

    Raises:
        InputError: the first thing found, with the way out.
    """
    chosen = set(pipelines)
    data = DataConfig.model_validate(parameters["data"])
    distill = DistillConfig.model_validate(parameters["distill"])
    runtime = RuntimeConfig.model_validate(parameters["runtime"])
    resolve_device(runtime)
    if chosen & {"lte", "teacher"}:
        check_class_names(datasets.class_names(data), "data.class_names")
    teacher = TeacherConfig.model_validate(parameters["teacher"])
    if "evaluate" in chosen and data.dataset == "test_folder":
        check_baselines(EvaluateConfig.model_validate(parameters["evaluate"]))
    if ("evaluate" in chosen and data.dataset != datasets.NONE) or ("teacher" in chosen and teacher.source == "train"):
        datasets.check(data)
    if "lte" in chosen:
        check_encoder(LteConfig.model_validate(parameters["lte"]))
    channels = datasets.channels(data) or CHANNELS
    if "teacher" in chosen:
        check_image_size(teacher.architecture, data.image_size, "teacher.architecture")
        if teacher.source == "train":
            if data.dataset == "test_folder" or teacher.training is None:
                raise InputError(
                    "teacher.source: 'train' needs training images and teacher.training; give an image_folder and a "
                    "recipe, or set file and take a teacher that exists."
                )
            build_network(teacher.architecture, channels, 2, "teacher.architecture")
        else:
            found = existing_teacher(teacher, data, registered_weights)
            check_batchnorm(found, distill)
            check_same_channels(found, data)
            channels = found.images.channels
    if "distill" in chosen:
        check_processes(runtime)
        share_of(distill, runtime.processes * runtime.machines)
        student = build_network(distill.student.architecture, channels, 2, "distill.student.architecture")
    loops = {"distill", "teacher"} if teacher.source == "train" else {"distill"}
    check_resume(runtime, sorted(chosen & loops))
    if "promote" in chosen and (onnx := PromoteConfig.model_validate(parameters["promote"]).onnx):
        check_onnx(onnx)
        check_folders([Path(onnx)], "promote.onnx: ")
    if chosen >= {"teacher", "distill"}:
        upsamplings(data.image_size)
        check_image_size(distill.student.architecture, data.image_size, "distill.student.architecture")
        check_logits(student, channels, data.image_size, 2, "distill.student.architecture")


def check_same_channels(teacher: Classifier, data: DataConfig) -> None:
    """Refuse test images that the teacher cannot take."""
    of_data = datasets.channels(data)
    if of_data not in (None, teacher.images.channels):
        raise InputError(
            f"teacher.normalisation: it has {teacher.images.channels} values, one per channel, but the images of "
            f"'{data.dataset}' have {of_data} channels; correct it, or data.dataset, or data.channels of a folder."
        )


def check_baselines(evaluate: EvaluateConfig) -> None:
    """Refuse baselines where there are test images only."""
    if evaluate.baselines:
        raise InputError(
            f"evaluate.baselines: {evaluate.baselines} need training images, which a test_folder has not; set []."
        )


def check_resume(runtime: RuntimeConfig, stages: Iterable[str]) -> None:
    """Refuse stages whose state cannot be kept, or is asked for and not there."""
    for stage in stages:
        state = Path(runtime.resume_folder) / stage / "state.pt"
        check_folders([state], "runtime.resume_folder: ")
        if runtime.resume == "require" and not state.is_file():
            raise InputError(
                f"runtime.resume: 'require', but there is no state in '{state.parent}'; set auto to start, or name "
                "only the pipelines that were interrupted."
            )


def check_folders(files: Iterable[Path], key: str = "") -> None:
    """Refuse a run whose outputs could not be written: a read-only or full folder. Leaves nothing behind.

    Raises:
        InputError: names the folder, after the `key` that does.
    """
    for folder in sorted({file.absolute().parent for file in files}):
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                free = shutil.disk_usage(existing).free
        except OSError as error:
            raise InputError(
                f"{key}output folder '{folder}' cannot be written ({error.strerror}): make it writable, "
                "or run elsewhere."
            ) from error
        if free < LEAST_FREE_BYTES:
            raise InputError(
                f"{key}output folder '{folder}' has {free / 2**20:.0f} MiB left, at least {LEAST_FREE_BYTES // 2**20} "
                "are needed: make room, or run elsewhere."
            )
