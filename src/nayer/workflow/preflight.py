"""Checks of parameters, inputs and machine before any work starts."""

from collections.abc import Iterable
from pathlib import Path

from nayer import datasets
from nayer.core.errors import InputError
from nayer.core.files import check_folders
from nayer.core.images import ImageSpec
from nayer.datasets.config import DataConfig
from nayer.distillation.config import DistillConfig
from nayer.distillation.launch import check_processes
from nayer.distillation.plan import schedule_of, shard_config
from nayer.engine.device import resolve_device
from nayer.engine.resume import check_resume
from nayer.evaluation.baselines import check_baselines
from nayer.export.onnx import check_onnx, check_packages
from nayer.lte.embeddings import check_class_names
from nayer.lte.encoders import check_encoder
from nayer.mlops.registry.teachers import SOURCES
from nayer.models.architectures import build_network, check_image_size, check_logits, whole_of
from nayer.models.classifier import Classifier
from nayer.student.start import STUDENT_KEY, blank_student
from nayer.synthesis.registry import method_of
from nayer.teachers.config import TRAIN, TeacherConfig
from nayer.teachers.pretrained import check_same_channels, check_source, load_pretrained
from nayer.workflow.parameters import Parameters

TEACHER_KEY = "teacher.architecture"
# Channels of the images that networks are checked with where the parameters do not say.
CHANNELS = 3


def check_parameters(parameters: Parameters, pipelines: Iterable[str]) -> None:
    """Check the parameters of the pipelines that will run against each other and against this machine.

    Their types and ranges were checked before, when Kedro read them.

    Raises:
        InputError: the first mistake found, with how to correct it.
    """
    chosen = set(pipelines)
    resolve_device(parameters.runtime)
    check_data(parameters, chosen)
    if "lte" in chosen:
        check_encoder(parameters.lte)
    channels = datasets.channels(parameters.data) or CHANNELS
    if "teacher" in chosen:
        teacher = check_teacher(parameters.teacher, parameters.data, channels)
        channels = teacher.images.channels
        if "distill" in chosen or parameters.teacher.source != TRAIN:
            method_of(parameters.distill.synthesis).check(parameters.distill.synthesis, teacher)
    if "distill" in chosen:
        check_processes(parameters.runtime)
        schedule_of(shard_config(parameters.distill, parameters.runtime.processes * parameters.runtime.machines))
        student, size = whole_of(parameters.distill.student.architecture), parameters.data.image_size
        build_network(student, channels, 2, STUDENT_KEY, size)
    loops = {"distill", "teacher"} if parameters.teacher.source == TRAIN else {"distill"}
    check_resume(parameters.runtime, sorted(chosen & loops))
    if "quantize" in chosen:
        check_packages("quantize", "leave that pipeline out")
        check_calibration(parameters)
    if "promote" in chosen and (onnx := parameters.promote.onnx):
        check_onnx(onnx)
        check_folders([Path(onnx)], "promote.onnx: ")
    if chosen >= {"teacher", "distill"}:
        check_student(parameters.distill, parameters.data, teacher)


def check_calibration(parameters: Parameters) -> None:
    """Refuse fewer calibration images than classes, or more than the memory sample of the first process holds."""
    images, distill, runtime = parameters.quantize.images, parameters.distill, parameters.runtime
    if images < (classes := len(datasets.class_names(parameters.data))):
        raise InputError(f"quantize.images: {images}, but there are {classes} classes; take at least one each.")
    kept = {"distill.memory_sample": distill.memory_sample}
    if not method_of(distill.synthesis).keeps_memory:  # except one batch
        kept["distill.synthesis.batch_size"] = distill.synthesis.batch_size // (runtime.processes * runtime.machines)
    key = min(kept, key=kept.__getitem__)
    if images > kept[key]:
        raise InputError(f"quantize.images: {images}, but {key} provides {kept[key]}; lower one or raise the other.")


def check_data(parameters: Parameters, chosen: set[str]) -> None:
    """Check the class names, and the real data where a pipeline reads them."""
    data, teacher = parameters.data, parameters.teacher
    if chosen & {"lte", "teacher"}:
        check_class_names(datasets.class_names(data), "data.class_names")
    if "evaluate" in chosen and data.dataset in ("test_folder", datasets.NONE):
        check_baselines(parameters.evaluate, data.dataset)
    tests = chosen & {"evaluate", "quantize"} and data.dataset != datasets.NONE
    if tests or ("teacher" in chosen and teacher.source == TRAIN):
        datasets.check(data)


def check_teacher(teacher: TeacherConfig, data: DataConfig, channels: int) -> Classifier:
    """Check the teacher; returns the existing one, or, to be trained, one with fresh weights and two classes."""
    check_source(teacher, SOURCES)
    check_image_size(teacher.architecture, data.image_size, TEACHER_KEY)
    if teacher.source != TRAIN:
        found = load_pretrained(teacher, data, SOURCES)
        check_same_channels(found, data)
        return found
    if data.dataset == "test_folder" or teacher.training is None:
        raise InputError(
            "teacher.source: 'train' needs training images and teacher.training; give an image_folder and a "
            "recipe, or set file and use an existing teacher."
        )
    images = ImageSpec(data.image_size, channels, (0.0,) * channels, (1.0,) * channels)
    made = Classifier.build(teacher.architecture, ("one", "another"), images, TEACHER_KEY).eval()
    check_logits(made, channels, data.image_size, 2, TEACHER_KEY)
    return made


def check_student(distill: DistillConfig, data: DataConfig, teacher: Classifier) -> None:
    """Refuse a student that cannot take the teacher's images, or its weights if it is to start from them."""
    check_image_size(distill.student.architecture, data.image_size, STUDENT_KEY)
    network = blank_student(teacher, distill.student).network
    check_logits(network, teacher.images.channels, data.image_size, len(teacher.class_names), STUDENT_KEY)
