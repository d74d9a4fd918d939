"""Parameters of the machine."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from nayer.core.config import Config, Count, Place, Text


class RuntimeConfig(Config):
    """The machine: nothing here changes what is learnt, apart from rounding."""

    device: Text
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "fp32", "bf16"]
    """auto takes bf16 autocast where the hardware computes in it."""
    compile: Literal["auto"] | bool
    """torch.compile for the distillation; auto: in a long one, on a CPU with AMX, where a C++ compiler is found."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    """CPU threads of a process; null leaves torch's choice, and divides the processors among several processes."""
    processes: Count
    """Processes on this machine that distil together, on GPUs one each; 1 is this process itself."""
    machines: Count
    """Machines that distil together; on the others torchrun is started by hand (docs/scaling.md)."""
    address: Annotated[Text, Field(pattern=r"^[^@\s]+$")] | None
    """host:port of this machine, by which the others find it; needed with more than one."""
    memory_gib: PositiveFloat
    """Largest bank of synthetic images that is held on the device; a larger one lies in a file in resume_folder."""
    resume: Literal["auto", "require", "never"]
    """What to do with the state of an interrupted run: go on if it fits, refuse if it does not, or start afresh."""
    resume_folder: Place
    """Where interrupted stages keep their state."""
    checkpoint_seconds: PositiveFloat
    """Seconds between two writes of the state."""
