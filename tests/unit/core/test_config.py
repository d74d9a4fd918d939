"""The types of parameters accept YAML values of their type, and nothing that merely looks like one."""

import math

import pytest
from pydantic import ValidationError

from nayer.core.config import BatchSize, Config, Count, Finite, Fraction, Momentum, NonNegativeCount, Place, Rate, Text


class Some(Config):
    count: Count = 1
    from_zero: NonNegativeCount = 0
    batch: BatchSize = 2
    finite: Finite = 0.0
    fraction: Fraction = 0.0
    momentum: Momentum = 0.0
    rate: Rate = 1.0
    flag: bool = False
    text: Text = ""
    place: Place = ""


@pytest.mark.parametrize(
    "right", [{"count": 1}, {"from_zero": 0}, {"fraction": 1}, {"finite": -3}, {"momentum": 0.9}, {"text": "ünï 🐈"}]
)
def test_a_whole_number_is_a_number_and_ends_belong_to_their_ranges(right):
    assert Some(**right).model_dump() | right == Some(**right).model_dump()


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 2**31},
        {"count": True},
        {"count": 1.0},
        {"count": "1"},
        {"from_zero": -1},
        {"batch": 1},
        {"finite": math.inf},
        {"finite": math.nan},
        {"finite": 1e7},
        {"fraction": 1.1},
        {"momentum": 1.0},
        {"rate": 0},
        {"rate": True},
        {"flag": "no"},
        {"flag": 0},
        {"text": "a\x00b"},
        {"text": "x" * 5000},
        {"text": "https://user:password@host"},
        {"place": "x" * 300},
        {"place": "~nobody-of-that-name/x"},
        {"misspelt": 1},
    ],
)
def test_what_is_out_of_range_or_of_another_type_is_refused(wrong):
    with pytest.raises(ValidationError):
        Some(**wrong)


def test_a_home_folder_is_spelt_out_and_an_address_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert Some(place="~/states").place == "/somewhere/states"
    assert Some(place="models:/name//3").place == "models:/name//3"


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError):
        Some().count = 2
