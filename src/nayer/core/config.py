"""Base of all typed parameters: frozen, strict, unknown keys refused. Each group is defined beside the code it sets.

The values of a scenario are in `conf/`; defaults in code are a method's published values only (docs/decisions/010).
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic_core import PydanticCustomError

from nayer.core.errors import CREDENTIALS

# Larger than any recipe needs; its square still fits into fp32.
MAX_VALUE = 1e6
MAX_TEXT_LENGTH = 4096
MAX_PATH_LENGTH, MAX_NAME_LENGTH = 1024, 255


def refuse_password(text: str) -> str:
    """Refuse an address with a password: parameters are recorded in MLflow, in the report and in output files."""
    if CREDENTIALS.search(text):
        raise PydanticCustomError(
            "password", "An address with a user or password in it would be recorded; set them in the environment"
        )
    return text


def check_path(text: str) -> str:
    """A path with its home folder (`~`) spelt out; refuse one that no file system accepts."""
    if len(text.encode()) > MAX_PATH_LENGTH or any(len(part.encode()) > MAX_NAME_LENGTH for part in text.split("/")):
        raise PydanticCustomError("path", "It is too long for the name of a file")
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise PydanticCustomError("path", "There is no such home folder") from error
    return os.path.expanduser(text)  # unlike Path, it leaves the rest as it is, such as models:/name/3


def check_architecture(text: str) -> str:
    """Check an architecture like a path, as it may name a user's own code; arguments in braces are not checked."""
    check_path(text.partition("{")[0])
    return text


MAX_COUNT = 2**31 - 1
Finite = Annotated[float, Field(ge=-MAX_VALUE, le=MAX_VALUE)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# Below 1: at 1 an average never forgets, and Adam divides by zero.
Momentum = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[NonNegativeFloat, Field(le=MAX_VALUE)]
Rate = Annotated[PositiveFloat, Field(le=MAX_VALUE)]
Count = Annotated[PositiveInt, Field(le=MAX_COUNT)]
NonNegativeCount = Annotated[NonNegativeInt, Field(le=MAX_COUNT)]
BatchSize = Annotated[int, Field(ge=2, le=MAX_COUNT)]
Text = Annotated[
    str, Field(max_length=MAX_TEXT_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$"), AfterValidator(refuse_password)
]
Place = Annotated[Text, AfterValidator(check_path)]
Architecture = Annotated[Text, AfterValidator(check_architecture)]


class Config(BaseModel):
    """Base class of all groups of parameters. Strict, as YAML's `no` is no number, and a quoted number is a mistake."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
