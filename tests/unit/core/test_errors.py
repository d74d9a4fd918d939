"""Messages to users stay one sentence, whatever they quote."""

from typing import Annotated, Literal

import pytest
from kedro.io import DatasetError
from pydantic import AfterValidator, BaseModel, ValidationError

from nayer.cli import sentence
from nayer.core.config import check_path
from nayer.core.errors import MAX_LINE, InputError, Interrupted, first_mistake, refusable, within
from nayer.lte.embeddings import check_class_names


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x00", "\r", "\x9b31m", "\u202e", "\u2028", "\udc80"])
def test_a_message_cannot_steer_a_terminal_and_can_always_be_written(bad):
    text = str(InputError(f"file '{bad}' is odd\nsecond line"))
    assert bad not in text
    assert text.endswith("is odd\nsecond line")
    text.encode()


def test_letters_of_all_scripts_stay():
    text = "класс '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645' 👩\u200d🔬 à la carte"
    assert str(InputError(text)) == text


class Tried(BaseModel):
    names: list[Annotated[str, AfterValidator(check_path)]] | Literal["all"] = "all"
    inner: "Tried | Literal['none'] | None" = None
    size: int = 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"size": "big"}, "size: 'big' is refused. Input should be a valid integer"),
        ({"names": [3]}, "names.0: 3 is refused. Input should be a valid string"),
        ({"inner": {"size": "big"}}, "inner.size: 'big' is refused. Input should be a valid integer"),
    ],
)
def test_a_mistake_is_told_by_the_keys_that_a_user_wrote_and_not_by_the_types_that_were_tried(values, sentence):
    with pytest.raises(ValidationError) as found:
        Tried.model_validate(values)
    assert first_mistake(found.value).startswith(sentence)


def test_a_line_that_is_too_long_keeps_both_ends():
    text = str(InputError(f"first {'x' * 10**6} last"))
    assert text.startswith("first")
    assert text.endswith("last")
    assert len(text) < MAX_LINE + 10


@pytest.mark.parametrize("odd", ["a\nb", "\x1b[2J", "a\x00", "\udc80", "\u202egnp", "x" * 501])
def test_class_names_that_cannot_stand_in_a_table_are_refused(odd):
    with pytest.raises(InputError, match="data.class_names: the name of class 1 has .* characters"):
        check_class_names(["ant", odd], "data.class_names")


def test_class_names_of_any_script_and_with_any_sign_pass():
    check_class_names(
        ["<script>", "=cmd|' /C calc'!A0", "../x", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "x" * 500],
        "data.class_names",
    )


def test_what_happens_while_a_file_is_saved_is_found_in_what_kedro_makes_of_it():
    stop, wrapped = Interrupted("stopped", 2), DatasetError("failed while saving")
    wrapped.__cause__ = stop
    assert within(wrapped, Interrupted) is stop
    assert within(wrapped, InputError) is None


def test_what_is_refused_where_there_is_another_way_is_passed_over_and_a_signal_is_not():
    with refusable():
        raise InputError("it has no such layer; name another.")
    stopped = InputError("the network fails (Stopped by SIGTERM.); choose another.")
    stopped.__cause__ = Interrupted("Stopped by SIGTERM.", 15)
    with pytest.raises(InputError), refusable():
        raise stopped
    assert sentence(stopped) == "Stopped by SIGTERM."
