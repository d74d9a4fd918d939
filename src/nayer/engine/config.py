"""Parameters of the machine that the work runs on."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from nayer.core.config import Config, Count, Place, Text


class RuntimeConfig(Config):
    """The machine and how it is used: apart from rounding, only `processes` and `machines` change what is learnt."""

    device: Text
    """Device to compute on: auto, cpu, cuda, cuda:1 or mps; auto takes an accelerator if there is one."""
    precision: Literal["auto", "fp32", "bf16"]
    """Precision of forward passes; auto takes bf16 autocast where the hardware supports it natively, otherwise fp32."""
    compile: Literal["auto"] | bool
    """Whether torch.compile is used for the distillation; auto: on a CPU with AMX, for more than some minutes of
    work, if a C++ compiler is found."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    """CPU threads of each process; null leaves the choice to torch, or divides the cores among several processes."""
    processes: Count
    """Processes on this machine that distil together, one per GPU if there are any; 1 is this process itself."""
    machines: Count
    """Machines that distil together; on the others, torchrun is started by hand (docs/scaling.md)."""
    address: Annotated[Text, Field(pattern=r"^[^@\s]+$")] | None
    """host:port at which the other machines reach this one; required with more than one machine."""
    memory_gib: PositiveFloat
    """GiB that images and cached targets of the memory may take together; if they take more, the images are kept in a
    file in `resume_folder` instead of on the device."""
    resume: Literal["auto", "require", "never"]
    """What to do with the state of an interrupted run: `auto` resumes from it if it fits, otherwise starts afresh;
    `require` refuses to start without one that fits; `never` starts afresh."""
    resume_folder: Place
    """Folder in which stages keep their state, to resume from after an interruption."""
    checkpoint_seconds: PositiveFloat
    """Seconds between two writes of the state."""
