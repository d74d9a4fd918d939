"""Checks that an accelerator does what the distillation needs, before hours are spent on it."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import cast

import torch
from torch import Tensor, nn

from harness.scenario import parameters, runtime
from nayer.core.errors import InputError, Interrupted
from nayer.core.images import ImageSpec
from nayer.core.tensors import tensors_digest
from nayer.distillation.build import build, build_method
from nayer.distillation.config import DistillConfig
from nayer.distillation.launch import check_processes
from nayer.distillation.loop import distill
from nayer.distillation.plan import Plan, plan
from nayer.distillation.state import LoopState
from nayer.engine.config import RuntimeConfig
from nayer.engine.progress import NullReporter
from nayer.engine.recording import Recorder
from nayer.engine.resume import ResumePoint
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier, freeze
from nayer.student.losses import distillation_loss
from nayer.synthesis.method import TOTAL, SyntheticBatch
from nayer.synthesis.methods.nayer import Nayer

SPEC = ImageSpec(32, 3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
NAMES = tuple(f"class {number}" for number in range(10))
# Largest difference of fp32 values, as another device sums in another order.
CLOSE = 1e-3
# Largest relative difference of gradients and of a step's changes, which differ more; half a step is off by 0.5.
CLOSE_STEP = 1e-2
# Largest relative difference after a few steps of a device that sums in no fixed order.
ROUNDED = 0.1
# Synthesis steps of a batch, and steps of the student, so many that recording begins on the way.
STEPS = 6


@dataclass(frozen=True)
class Found:
    """Outcome of one check."""

    name: str
    passed: bool
    detail: str


class StopAfter(NullReporter):
    """Stops a distillation after some units of work."""

    def __init__(self, units: int) -> None:
        self.left = units

    def advance(self, done: float, text: str) -> None:
        """Count one unit of work."""
        self.left -= 1
        if not self.left:
            raise Interrupted("stopped", 15)


def require(holds: bool, detail: str) -> str:
    """The detail of a check that holds.

    Raises:
        AssertionError: the check does not hold.
    """
    if not holds:
        raise AssertionError(detail)
    return detail


def planned(device: str, folder: str, **changes: object) -> Plan:
    """Plan of a short distillation with CIFAR's shapes, the same on every device but for the device itself."""
    torch.manual_seed(0)
    teacher = freeze(Classifier.build("wrn-16-1", NAMES, SPEC))
    table = LabelEmbeddings(torch.randn(len(NAMES), 64), NAMES, "random", "", "unused")
    values = parameters("cifar10", "distill")
    values |= {"warmup_epochs": 1, "epochs": 2, "memory": None, "probe_images": 20}
    values["augmentation"] = {"padding": 0, "flip": False}  # views without random draws
    values["synthesis"] |= {"batch_size": 40, "steps": 2, "warmup_batches": 2}
    values["student"] |= {"batch_size": 32, "steps": 4}
    settings = runtime(device=device, resume="auto", resume_folder=folder, **{"compile": False, **changes})
    return plan(teacher, table, DistillConfig.model_validate(values), settings, seed=0)


def exact() -> AbstractContextManager[None]:
    """Compute convolutions in full fp32: TF32, which a GPU takes by default, has a mantissa of ten bits."""
    found: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return found


def bf16(device: torch.device) -> str:
    """A product in bf16 is as close to that in fp32 as eight bits allow."""
    a = torch.randn(256, 256, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        found = a @ a
    off = ((found.float() - a @ a).norm() / (a @ a).norm()).item()
    return require(found.dtype == torch.bfloat16 and off < 0.01, f"off by {off:.2%}")


def channels_last(device: torch.device) -> str:
    """A convolution in channels_last keeps the memory format and gives the same values."""
    conv = nn.Conv2d(16, 32, 3, padding=1).to(device)
    x = torch.randn(8, 16, 32, 32, device=device)
    with exact():
        wanted = conv(x)
        found = conv.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    off = (found - wanted).abs().max().item()
    return require(found.is_contiguous(memory_format=torch.channels_last) and off < CLOSE, f"off by {off:.1e}")


def fused(device: torch.device) -> str:
    """Fused SGD and Adam take the same steps as unfused ones."""
    worst = 0.0
    for kind in (partial(torch.optim.SGD, lr=0.1, momentum=0.9), partial(torch.optim.Adam, lr=0.01)):
        ends = []
        for fast in (True, False):
            torch.manual_seed(0)
            weight = nn.Parameter(torch.ones(64, device=device))
            optimiser = kind([weight], fused=fast)
            for step in range(3):
                weight.grad = torch.full_like(weight, 0.1 * (step + 1))
                optimiser.step()
            ends.append(weight.detach())
        worst = max(worst, (ends[0] - ends[1]).abs().max().item())
    return require(worst < 1e-5, f"off by {worst:.1e}")


def compiled(device: torch.device) -> str:
    """A compiled network gives the same outputs as before."""
    with TemporaryDirectory() as folder:
        network = planned(str(device), folder, precision="fp32").teacher.network.to(device)
    x = torch.randn(8, 3, 32, 32, device=device)
    with exact():
        wanted = network(x)
        found = torch.compile(copy.deepcopy(network), dynamic=False)(x)
    off = ((found - wanted).norm() / wanted.norm()).item()
    return require(off < CLOSE, f"off by {off:.1e}")


def graphs(device: torch.device) -> str:
    """A network's forward pass can be captured in a CUDA graph and replayed on other values."""
    if device.type != "cuda":
        return "no CUDA: not tried"
    with TemporaryDirectory() as folder:
        network = planned(str(device), folder, precision="fp32").teacher.network.to(device).eval()
    x = torch.randn(8, 3, 32, 32, device=device)
    with torch.no_grad():
        replayed = torch.cuda.make_graphed_callables(network, (x,))
        other = torch.randn_like(x)
        off = (replayed(other) - network(other)).abs().max().item()
    return require(off < CLOSE, f"off by {off:.1e}")


def equal_steps(device: torch.device) -> str:
    """From the same weights, gradients of a synthesis step and changes by a student step are those of the CPU."""
    with TemporaryDirectory() as folder, exact():
        start = build(planned("cpu", folder, precision="fp32"))
        start.method.start_epoch(start.method.context.schedule.warmup_epochs)
        made = start.method.step(start.trainer.student)
        plans = [planned(name, folder, precision="fp32") for name in ("cpu", str(device))]
        wanted, found = (one_of_each(start, made, each) for each in plans)
    off = {name: relative(found[name], wanted[name]) for name in wanted}
    said = ", ".join(f"{name} {each:.1e}" for name, each in off.items())
    return require(all(each < CLOSE_STEP for each in off.values()), f"off by: {said}")


def one_of_each(start: LoopState, made: SyntheticBatch, planned: Plan) -> dict[str, Tensor]:
    """Losses, gradients and changes of a synthesis and a student step on the planned device, from given weights."""
    state = build(planned)
    method, device = cast(Nayer, state.method), planned.device
    method.load_state_dict(copy.deepcopy(start.method.state_dict()))
    state.trainer.load_state_dict(copy.deepcopy(start.trainer.state_dict()))
    labels = method.noise.redraw(method.config.batch_size)
    method.noise.set_linear(*(each.detach().to(device, copy=True) for each in cast(Nayer, start.method).noise.linear))
    student = state.trainer.student
    with method.loss.for_one_batch(student):
        losses, logits = method.loss(method.make_images(), labels, student)
        losses[TOTAL].backward()
    before = flat(student.parameters())
    state.trainer.step(made.images.to(device) / 255, partial(distillation_loss, logits.detach(), temperature=20.0))
    return {
        "losses": torch.stack([*losses.values()]).detach().cpu(),
        "generator": flat(gradients(method.generator.parameters())),
        "noisy layer": flat(gradients(method.noise.parameters())),
        "student": flat(student.parameters()) - before,
    }


def gradients(weights: Iterable[Tensor]) -> Iterator[Tensor]:
    """Gradients of the weights that have one."""
    return (each.grad for each in weights if each.grad is not None)


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """All tensors as one flat tensor on the CPU."""
    return torch.cat([each.detach().cpu().flatten() for each in tensors])


def relative(found: Tensor, wanted: Tensor) -> float:
    """Norm of the difference, relative to that of what is wanted."""
    return float((found - wanted).norm() / wanted.norm())


def resumes(device: torch.device) -> str:
    """A distillation that is stopped and resumed ends as an uninterrupted one; the detail says whether to the bit."""
    students = []
    for stopped in (False, True):
        with TemporaryDirectory() as folder:
            made = planned(str(device), folder)
            for reporter in (StopAfter(7), NullReporter()) if stopped else (NullReporter(),):
                resume = ResumePoint(settings_of(device, folder), "distill", made.fingerprint, reporter)
                with suppress(Interrupted):
                    students.append(distill(made, resume, reporter).student)
    same = tensors_digest(students[0].state_dict()) == tensors_digest(students[1].state_dict())
    ends = [flat(student.parameters()) for student in students]
    off = relative(ends[1], ends[0])
    return require(same or off < ROUNDED, "to the bit" if same else f"off by {off:.1e}, not to the bit")


def settings_of(device: torch.device, folder: str) -> RuntimeConfig:
    """Runtime settings of a run that keeps its state."""
    return runtime(device=str(device), compile=False, resume="auto", resume_folder=folder, checkpoint_seconds=1e9)


def recorded(device: torch.device) -> str:
    """Recorded steps end as unrecorded ones do, and a step that cannot be recorded is done all the same."""
    if device.type != "cuda":
        return "no CUDA: not tried"
    ends = []
    for on in (True, False):
        with TemporaryDirectory() as folder:
            made = planned(str(device), folder)
        state, method = build(made), build_method(made, freeze(made.teacher.to(device)), STEPS)
        state.recorder.on = method.context.recorder.on = on
        method.start_epoch(made.config.warmup_epochs)
        for _ in range(3):
            state.add_batch(method.step(state.trainer.student))
        for _ in range(STEPS):
            state.learn(made.config.student)
        ends.append(flat(state.trainer.student.parameters()))
        assert state.recorder.on == method.context.recorder.on == on  # noqa: S101 (nothing failed to be recorded)
    off = relative(ends[0], ends[1])
    ask = Recorder(device).recorded(lambda: torch.ones(1, device=device).item())
    return require(off < CLOSE and [ask() for _ in range(3)] == [1.0] * 3, f"off by {off:.1e}")


def refuses_two(device: torch.device) -> str:
    """Two processes on one device are refused with a clear message."""
    if device.type == "cpu":
        return "a CPU serves several: not tried"
    try:
        check_processes(runtime(device=device.type, processes=1 + torch.accelerator.device_count()))
    except InputError as error:
        return str(error)
    return require(False, "they are accepted")


CHECKS: dict[str, Callable[[torch.device], str]] = {
    "bf16": bf16,
    "channels_last": channels_last,
    "fused optimisers": fused,
    "compiled": compiled,
    "CUDA graphs": graphs,
    "a step as on the CPU": equal_steps,
    "resume": resumes,
    "two processes": refuses_two,
    "recorded steps": recorded,  # last: it makes a recording fail
}


def run(device: torch.device) -> Iterator[Found]:
    """Run all checks, each with the same random numbers every time; one that fails does not stop the rest."""
    for name, check in CHECKS.items():
        torch.manual_seed(0)
        try:
            yield Found(name, True, check(device))
        except Exception as error:
            yield Found(name, False, f"{type(error).__name__}: {error}".splitlines()[0])
