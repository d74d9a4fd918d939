"""Typed parameters: frozen, unknown keys refused. Every value stands in `conf/`; no default here changes a result."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from nayer.errors import InputError, unknown

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]
CountOrNone = Annotated[int, Field(ge=0, strict=True)]


class Config(BaseModel):
    """What all groups of parameters share."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataConfig(Config):
    """The real data: for the teacher and the evaluation only."""

    dataset: str
    """digits, fashion_mnist, cifar10, cifar100, tiny_imagenet, image_folder, test_folder, or none."""
    folder: str
    """Where the files of the data set lie; digits need none."""
    image_size: Count
    """Side of the images in pixels; the pictures of a folder are resized to it, other sets have their own."""
    channels: Literal[1, 3] | None
    """Of the pictures of a folder: 1 reads them as grey, null and 3 as RGB; other sets have their own."""
    class_names: list[str] | str | None
    """Names in the order of the classes: a list, or a text file with one a line; null takes the data set's own."""


class RuntimeConfig(Config):
    """The machine: nothing here changes what is learnt, apart from rounding."""

    device: str
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "fp32", "bf16"]
    """auto takes bf16 autocast where the hardware computes in it."""
    threads: Count | None
    """CPU threads; null leaves torch's choice."""
    processes: Count
    """Processes on this machine that distil together, on GPUs one each; 1 is this process itself."""
    machines: Count
    """Machines that distil together; on the others torchrun is started by hand (docs/scaling.md)."""
    address: str | None
    """host:port of this machine, by which the others find it; needed with more than one."""
    memory_gib: Positive
    """Largest bank of synthetic images that is held on the device; a larger one lies in a file in resume_folder."""
    resume: Literal["auto", "require", "never"]
    """What to do with the state of an interrupted run: go on if it fits, refuse if it does not, or start afresh."""
    resume_folder: str
    """Where interrupted stages keep their state."""
    checkpoint_seconds: Positive
    """Seconds between two writes of the state."""


class LteConfig(Config):
    """Label-text embeddings."""

    encoder: str
    """minilm (bundled), a Hugging Face id, a folder, a *.safetensors table, or the ablations one_hot and random."""
    revision: str | None
    """Revision of a hub model; null takes the newest."""
    prompt: str
    """The sentence in which {} is the class name."""
    batch_size: Count
    """Prompts encoded at once."""
    random_dim: Count
    """Width of the table that `encoder: random` draws."""


class AugmentationConfig(Config):
    """Per-sample augmentation of a scenario's images."""

    padding: Annotated[int, Field(ge=0, le=127, strict=True)]
    """Zero padding in pixels a side before the random crop."""
    flip: bool
    """Horizontal flip of every second image."""


class TrainingConfig(Config):
    """A supervised recipe: SGD with Nesterov momentum, one cycle of the learning rate."""

    epochs: Count
    batch_size: Annotated[int, Field(ge=2, strict=True)]
    learning_rate: Positive
    """Peak of the one-cycle schedule."""
    warmup: Fraction
    """Share of the steps in which the rate rises."""
    momentum: Fraction
    weight_decay: Weight
    label_smoothing: Fraction
    augmentation: AugmentationConfig


class Normalisation(Config):
    """What a teacher that exists expects its images to be normalised by, per channel on the [0, 1] scale."""

    mean: Annotated[list[Finite], Field(min_length=1)]
    std: Annotated[list[Positive], Field(min_length=1)]


class TeacherConfig(Config):
    """The teacher: trained here, or one that exists."""

    source: Literal["train", "file", "mlflow", "torchvision", "timm"]
    """train it on the real data, or take weights that exist: in a file, an MLflow store, or published ones."""
    weights: str | None
    """A file (.safetensors, .pt2, or what torch.save wrote; no pickle is run), an MLflow URI such as models:/name/3, or
    the published name: ResNet18_Weights.IMAGENET1K_V1, resnet18.a1_in1k."""
    architecture: str
    """wrn-D-W, resnet-18, resnet-34, vgg-11-bn, torchvision:NAME, timm:NAME, or package.module:factory of your own."""
    normalisation: str | Normalisation | None
    """For weights that exist: digits, fashion_mnist, cifar10, cifar100, imagenet, half, none, or mean and std."""
    training: TrainingConfig | None
    """The recipe; null where nothing is trained."""


class SynthesisConfig(Config):
    """NAYER's synthesis (arXiv 2310.00258, section 3)."""

    batch_size: Annotated[int, Field(ge=2, strict=True)]
    """Images made together; one noisy linear layer serves each set of one image per class."""
    steps: Count
    """Adam steps per batch (g_steps)."""
    batches: Count
    """Batches per epoch after the warm-up (g_loops)."""
    warmup_batches: Count
    """Batches per epoch of the warm-up."""
    generator_life: Count
    """Epochs after which a fresh generator takes over."""
    learning_rate: Positive
    betas: tuple[Fraction, Fraction]
    latent: Count
    """Outputs of the noisy layer."""
    generator_width: Count
    """Channels of the generator's last hidden layer (ngf)."""
    ce_weight: Weight
    bn_weight: Weight
    """0 admits a teacher without BatchNorm2d."""
    adversarial_weight: Weight
    bn_momentum: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    """Share of the current batch in the compared statistics; the rest is the running mean."""


class StudentConfig(Config):
    """The student and how it learns from the memory."""

    architecture: str
    batch_size: Annotated[int, Field(ge=2, strict=True)]
    steps: Count
    """SGD steps per epoch."""
    fixed_views: Count | None
    """Views of each image, drawn once with the teacher's answers; null draws a new one and asks each time."""
    learning_rate: Positive
    final_learning_rate: Weight
    """End of the cosine over the epochs after the warm-up."""
    momentum: Fraction
    weight_decay: Weight
    temperature: Positive


class DistillConfig(Config):
    """Data-free distillation."""

    warmup_epochs: CountOrNone
    """Epochs that only fill the memory, without the adversarial term."""
    epochs: Count
    """Epochs of distillation after the warm-up."""
    memory: Count | None
    """Images kept; null keeps all that the schedule makes."""
    memory_sample: Annotated[int, Field(ge=1, le=5000, strict=True)]
    """Images of the memory handed on for a look, balanced by class."""
    held_out: Annotated[int, Field(ge=1, le=5000, strict=True)]
    """Images made after the last epoch, which the student never learns from: to compare it with its teacher on."""
    augmentation: AugmentationConfig
    synthesis: SynthesisConfig
    student: StudentConfig


class EvaluateConfig(Config):
    """The evaluation on real test data."""

    batch_size: Count
    calibration_bins: Count
    latency_seconds: Positive
    """Measuring time for each latency."""
    baselines: list[Literal["real", "kd_real", "kd_noise"]]
    """The student's ceiling and floor, trained on request by the student's recipe."""


class GateConfig(Config):
    """What a student must reach to become champion. What equals a limit passes."""

    least_top1: Fraction
    """Accuracy on real test data."""
    least_agreement: Fraction
    """Share of the test images on which student and teacher say the same."""
    largest_file_mib: Positive
    longest_latency_ms: Positive
    """Median time of one image on the CPU of the machine that evaluated."""
    largest_regression: Fraction
    """How far the accuracy may lie below that of the standing champion on the same test data."""


class PromoteConfig(Config):
    """The registered model and the gate before its alias champion."""

    model_name: str
    """Name in the MLflow model registry."""
    allow_unlabelled: bool
    """Register a student without real test metrics; it becomes challenger, never champion."""
    onnx: str | None
    """Where to write the student as an ONNX file, too; needs the extra onnx."""
    gate: GateConfig


GROUPS: dict[str, type[Config]] = {
    "data": DataConfig,
    "runtime": RuntimeConfig,
    "lte": LteConfig,
    "teacher": TeacherConfig,
    "distill": DistillConfig,
    "evaluate": EvaluateConfig,
    "promote": PromoteConfig,
}
SCALARS = ("scenario", "seed")


def check_types(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that are misspelt, missing, of the wrong type or out of range.

    Raises:
        InputError: one line for each of them, with its key and value.
    """
    for key in parameters:
        if key not in (*GROUPS, *SCALARS):
            raise unknown("parameters", key, (*GROUPS, *SCALARS))
    seed = parameters.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed: {seed!r} must be a whole number of at least 0.")
    complaints = []
    for name, kind in GROUPS.items():
        try:
            kind.model_validate(parameters.get(name, {}))
        except ValidationError as error:
            complaints += [_complaint(name, kind, details) for details in error.errors()]
    if complaints:
        raise InputError("\n".join(complaints))


def _complaint(group: str, kind: type[Config], details: ErrorDetails) -> str:
    """One mistake as a sentence; a misspelt key comes with the nearest right one."""
    *path, last = details["loc"]
    key = ".".join(str(part) for part in (group, *details["loc"]))
    if details["type"] == "extra_forbidden":
        for part in path:
            inner = kind.model_fields[str(part)].annotation
            if isinstance(inner, type) and issubclass(inner, Config):
                kind = inner
        return str(unknown(".".join((group, *map(str, path))), str(last), kind.model_fields))
    if details["type"] == "missing":
        return f"{key}: is missing; set it in conf/."
    return f"{key}: {details['input']!r} is refused. {details['msg']}; change it in conf/ or in --params."
