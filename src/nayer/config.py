"""Typed parameters: frozen, unknown keys refused. Every value stands in `conf/`; no default here changes a result."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from nayer.errors import CREDENTIALS, InputError, shown, unknown

# Larger than any recipe needs; its square still fits into fp32.
LARGEST = 1e6
LONGEST = 4096
LONGEST_PATH, LONGEST_NAME = 1024, 255


def no_password(text: str) -> str:
    """Parameters are recorded in MLflow, in the report and in the files made."""
    if CREDENTIALS.search(text):
        raise PydanticCustomError(
            "password", "An address with a user or password in it would be recorded; leave them to the environment"
        )
    return text


def a_path(text: str) -> str:
    """What no file system takes is refused here, once."""
    if len(text.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in text.split("/")):
        raise PydanticCustomError("path", "It is too long for the name of a file")
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise PydanticCustomError("path", "There is no such home folder") from error
    return text


# Strict, as YAML's `no` is neither a number nor a word, and a number in quotes is a slip.
Finite = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
# At 1 nothing is ever forgotten, and Adam divides by zero.
Memory = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(strict=True, ge=0, le=LARGEST, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, gt=0, le=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=1, lt=2**31, strict=True)]
CountOrNone = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
BatchSize = Annotated[int, Field(ge=2, lt=2**31, strict=True)]
Text = Annotated[str, Field(max_length=LONGEST, pattern=r"^[^\x00-\x1f\x7f]*$"), AfterValidator(no_password)]
Place = Annotated[Text, AfterValidator(a_path)]


class Config(BaseModel):
    """What all groups of parameters share."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataConfig(Config):
    """The real data: for the teacher and the evaluation only."""

    dataset: Text
    """digits, fashion_mnist, cifar10, cifar100, tiny_imagenet, image_folder, test_folder, or none."""
    folder: Place
    """Where the files of the data set lie; digits need none."""
    image_size: Count
    """Side of the images in pixels; the pictures of a folder are resized to it, other sets have their own."""
    channels: Literal[1, 3] | None
    """Of the pictures of a folder: 1 reads them as grey, null and 3 as RGB; other sets have their own."""
    class_names: list[Text] | Place | None
    """Names in the order of the classes: a list, or a text file with one a line; null takes the data set's own."""


class RuntimeConfig(Config):
    """The machine: nothing here changes what is learnt, apart from rounding."""

    device: Text
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "fp32", "bf16"]
    """auto takes bf16 autocast where the hardware computes in it."""
    compile: Literal["auto"] | Flag
    """torch.compile for the distillation; auto: in a long one, on a CPU with AMX, where a C++ compiler is found."""
    threads: Annotated[int, Field(ge=1, le=1024, strict=True)] | None
    """CPU threads of a process; null leaves torch's choice, and divides the processors among several processes."""
    processes: Count
    """Processes on this machine that distil together, on GPUs one each; 1 is this process itself."""
    machines: Count
    """Machines that distil together; on the others torchrun is started by hand (docs/scaling.md)."""
    address: Annotated[Text, Field(pattern=r"^[^@\s]+$")] | None
    """host:port of this machine, by which the others find it; needed with more than one."""
    memory_gib: Positive
    """Largest bank of synthetic images that is held on the device; a larger one lies in a file in resume_folder."""
    resume: Literal["auto", "require", "never"]
    """What to do with the state of an interrupted run: go on if it fits, refuse if it does not, or start afresh."""
    resume_folder: Place
    """Where interrupted stages keep their state."""
    checkpoint_seconds: Positive
    """Seconds between two writes of the state."""


class LteConfig(Config):
    """Label-text embeddings."""

    encoder: Place
    """minilm (bundled), a Hugging Face id, a folder, a *.safetensors table, or the ablations one_hot and random."""
    revision: Text | None
    """Revision of a hub model; null takes the newest."""
    prompt: Text
    """The sentence in which {} is the class name."""
    batch_size: Count
    """Prompts encoded at once."""
    random_dim: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    """Width of the table that `encoder: random` draws."""


class AugmentationConfig(Config):
    """Per-sample augmentation of a scenario's images."""

    padding: Annotated[int, Field(ge=0, le=127, strict=True)]
    """Zero padding in pixels a side before the random crop."""
    flip: Flag
    """Horizontal flip of every second image."""


class TrainingConfig(Config):
    """A supervised recipe: SGD with Nesterov momentum, one cycle of the learning rate."""

    epochs: Count
    batch_size: BatchSize
    learning_rate: Rate
    """Peak of the one-cycle schedule."""
    warmup: Fraction
    """Share of the steps in which the rate rises."""
    momentum: Memory
    weight_decay: Weight
    label_smoothing: Fraction
    augmentation: AugmentationConfig


# In fp32, less is a division by zero.
Deviation = Annotated[float, Field(strict=True, ge=1e-6, le=LARGEST, allow_inf_nan=False)]


class Normalisation(Config):
    """What a teacher that exists expects its images to be normalised by, per channel on the [0, 1] scale."""

    mean: Annotated[list[Finite], Field(min_length=1)]
    std: Annotated[list[Deviation], Field(min_length=1)]


class TeacherConfig(Config):
    """The teacher: trained here, or one that exists."""

    source: Literal["train", "file", "mlflow", "torchvision", "timm"]
    """train it on the real data, or take weights that exist: in a file, an MLflow store, or published ones."""
    weights: Place | None
    """A file (.safetensors, .pt2, or what torch.save wrote; no pickle is run), an MLflow URI such as models:/name/3, or
    the published name: ResNet18_Weights.IMAGENET1K_V1, resnet18.a1_in1k."""
    architecture: Place
    """wrn-D-W, resnet-18, resnet-34, vgg-11-bn, torchvision:NAME, timm:NAME, or package.module:factory of your own."""
    normalisation: Text | Normalisation | None
    """For weights that exist: digits, fashion_mnist, cifar10, cifar100, imagenet, half, none, or mean and std."""
    training: TrainingConfig | None
    """The recipe; null where nothing is trained."""


class SynthesisConfig(Config):
    """NAYER's synthesis (arXiv 2310.00258, section 3)."""

    batch_size: BatchSize
    """Images made together; one noisy linear layer serves each set of one image per class."""
    steps: Count
    """Adam steps per batch (g_steps)."""
    batches: Count
    """Batches per epoch after the warm-up (g_loops)."""
    warmup_batches: Count
    """Batches per epoch of the warm-up."""
    generator_life: Count
    """Epochs after which a fresh generator takes over."""
    learning_rate: Rate
    betas: tuple[Memory, Memory]
    latent: Count
    """Outputs of the noisy layer."""
    generator_width: Count
    """Channels of the generator's last hidden layer (ngf)."""
    ce_weight: Weight
    bn_weight: Weight
    """0 admits a teacher without BatchNorm2d."""
    adversarial_weight: Weight
    bn_momentum: Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
    """Share of the current batch in the compared statistics; the rest is the running mean."""


class StudentConfig(Config):
    """The student and how it learns from the memory."""

    architecture: Place
    batch_size: BatchSize
    steps: Count
    """SGD steps per epoch."""
    kept_views: Count | None
    """Views kept of each image with the teacher's answers; null draws a new one and asks each time."""
    renewed_views: Fraction
    """Share of a batch whose kept views are drawn anew, with new answers; none if all views there are are kept."""
    learning_rate: Rate
    final_learning_rate: Weight
    """End of the cosine over the epochs after the warm-up."""
    momentum: Memory
    weight_decay: Weight
    temperature: Annotated[float, Field(strict=True, ge=1e-3, le=LARGEST, allow_inf_nan=False)]


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
    calibration_bins: Annotated[int, Field(ge=1, le=10_000, strict=True)]
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

    model_name: Annotated[Text, Field(max_length=200, pattern=r"^[\w.\- ]+$")]
    """Name in the MLflow model registry."""
    allow_unlabelled: Flag
    """Register a student without real test metrics; it becomes challenger, never champion."""
    onnx: Place | None
    """Where to write the student as an ONNX file, too; needs the extra onnx."""
    gate: GateConfig


class MlflowConfig(Config):
    """Where runs are recorded: `conf/base/mlflow.yml`."""

    tracking_uri: Text
    experiment: Text


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
            raise unknown("parameters", str(key), (*GROUPS, *SCALARS))
    seed, scenario = parameters.get("seed"), parameters.get("scenario")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed: {shown(seed)} must be a whole number of at least 0 and less than 2**63.")
    if not isinstance(scenario, str) or not re.fullmatch(r"\w[\w.-]*", scenario):
        raise InputError(f"scenario: {shown(scenario)} must be the name of a folder of conf/, set in its globals.yml.")
    _check({name: (kind, parameters.get(name, {})) for name, kind in GROUPS.items()})


def check_mlflow(settings: Mapping[str, Any]) -> None:
    """Refuse settings of MLflow as `check_types` refuses parameters."""
    _check({"mlflow": (MlflowConfig, settings)})


def _check(groups: Mapping[str, tuple[type[Config], Any]]) -> None:
    complaints: dict[str, str] = {}
    for name, (kind, values) in groups.items():
        try:
            kind.model_validate(values)
        except ValidationError as error:
            for details in error.errors():
                key, complaint = _complaint(name, kind, details)
                complaints.setdefault(key, complaint)
    if complaints:
        raise InputError("\n".join(complaints.values()))


def _complaint(group: str, kind: type[Config], details: ErrorDetails) -> tuple[str, str]:
    """The key of one mistake, and the mistake as a sentence; a misspelt key comes with the nearest right one."""
    path = [group]
    for part in details["loc"]:
        # Pydantic names the alternatives of a union, too, which are no keys.
        if isinstance(part, str) and part in kind.model_fields:
            kind = next(_groups_in(kind.model_fields[part].annotation), kind)
            path.append(part)
        elif isinstance(part, int):
            path.append(str(part))
    key = ".".join(path)
    if details["type"] == "extra_forbidden":
        last = str(details["loc"][-1])
        return f"{key}.{last}", str(unknown(key, last, kind.model_fields))
    if details["type"] == "missing":
        return key, f"{key}: is missing; set it in conf/."
    return key, f"{key}: {shown(details['input'])} is refused. {details['msg']}; change it in conf/ or in --params."


def _groups_in(annotation: Any) -> Iterator[type[Config]]:
    """The groups of parameters that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for part in get_args(annotation):
        yield from _groups_in(part)
