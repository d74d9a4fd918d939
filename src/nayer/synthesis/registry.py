"""Registry of the synthesis methods by name; a new one is a file in `methods/` plus its import and entry here."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny

from nayer.synthesis.method import Method, SynthesisConfig
from nayer.synthesis.methods.adi import Adi
from nayer.synthesis.methods.cmi import Cmi
from nayer.synthesis.methods.dafl import Dafl
from nayer.synthesis.methods.dead_leaves import DeadLeaves
from nayer.synthesis.methods.deep_inversion import DeepInversion
from nayer.synthesis.methods.dfq import Dfq
from nayer.synthesis.methods.fast_dfkd import FastDfkd
from nayer.synthesis.methods.nayer import Nayer
from nayer.synthesis.methods.zskt import Zskt

METHODS: dict[str, type[Method[Any]]] = {
    "nayer": Nayer,
    "fast_dfkd": FastDfkd,
    "cmi": Cmi,
    "deep_inversion": DeepInversion,
    "adi": Adi,
    "dafl": Dafl,
    "dfq": Dfq,
    "zskt": Zskt,
    "dead_leaves": DeadLeaves,
}


def of_its_method(values: Any) -> Any:
    """Drop keys that only other methods have, so that a scenario can switch method; unknown ones stay to be refused."""
    method = METHODS.get(str(values.get("method"))) if isinstance(values, dict) else None
    if method is None:
        return values
    known = {key for each in METHODS.values() for key in each.Config.model_fields}
    return {key: value for key, value in values.items() if key in method.Config.model_fields or key not in known}


if TYPE_CHECKING:
    AnySynthesisConfig = SynthesisConfig
else:
    KINDS = reduce(or_, (each.Config for each in METHODS.values()))
    ONE = Annotated[KINDS, Field(discriminator="method")]
    AnySynthesisConfig = SerializeAsAny[Annotated[ONE, BeforeValidator(of_its_method)]]


def method_of(config: SynthesisConfig) -> type[Method[Any]]:
    """The method class that a configuration belongs to."""
    return METHODS[config.method]
