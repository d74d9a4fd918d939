"""The methods by name: a new one is a file in `methods/` and a line here."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SerializeAsAny

from nayer.synthesis.method import Method, SynthesisConfig
from nayer.synthesis.methods.dafl import Dafl
from nayer.synthesis.methods.fast_dfkd import FastDfkd
from nayer.synthesis.methods.nayer import Nayer

METHODS: dict[str, type[Method[Any]]] = {
    "nayer": Nayer,
    "fast_dfkd": FastDfkd,
    "dafl": Dafl,
}

if TYPE_CHECKING:
    AnySynthesisConfig = SynthesisConfig
else:
    # Which of them, `method` says.
    KINDS = reduce(or_, (each.Config for each in METHODS.values()))
    AnySynthesisConfig = SerializeAsAny[Annotated[KINDS, Field(discriminator="method")]]


def method_of(config: SynthesisConfig) -> type[Method[Any]]:
    """The method that a configuration is of."""
    return METHODS[config.method]
