"""Header of a classifier file: validated before it is used, as a stranger's file may say anything."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from nayer.core.config import Count
from nayer.core.errors import is_printable
from nayer.core.images import ImageSpec

MAX_SIDE = 4096


def _printable(text: str) -> str:
    if not is_printable(text):
        raise ValueError("it holds control characters, or is far too long")
    return text


# Far beyond these limits, a value is infinite in fp32, and a std is 0, by which images would be divided.
Scale = Annotated[float, Field(ge=-1e6, le=1e6)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_printable)]


class Images(BaseModel):
    """An `ImageSpec` as the file states it."""

    model_config = ConfigDict(strict=True)

    size: Annotated[Count, Field(le=MAX_SIDE)]
    channels: Count
    mean: list[Scale]
    std: list[Annotated[Scale, Field(gt=1e-6)]]

    def spec(self) -> ImageSpec:
        """The `ImageSpec`; raise ValueError unless there is one mean and one std for each channel."""
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"{self.channels} channels, but {len(self.mean)} values of mean and {len(self.std)} of std"
            )
        return ImageSpec(self.size, self.channels, tuple(self.mean), tuple(self.std))


class Header(BaseModel):
    """All that a classifier file states beside its weights."""

    model_config = ConfigDict(strict=True)

    architecture: Text
    class_names: Annotated[list[Text], Field(min_length=1)]
    images: Images
    provenance: dict[str, JsonValue]
