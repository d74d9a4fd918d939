"""Classes are matched by name where a name tells which is meant, and by order where none does."""

import pytest

from nayer.core.errors import InputError
from nayer.datasets.naming import places

OWN = ("t-shirt", "trouser", "ankle boot")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("t-shirt", "trouser", "ankle boot"), [0, 1, 2]),
        (("ankle boot", "t-shirt", "trouser"), [1, 2, 0]),
        (("Ankle_Boot", "Trouser", "T shirt"), [2, 1, 0]),
    ],
)
def test_the_data_sets_own_names_are_matched_in_any_order_and_spelling(given, expected):
    assert places(given, OWN, "shop") == expected


@pytest.mark.parametrize("given", [("shirt with short sleeves", "jeans", "boot"), ("T-shirt/top", "Trouser", "boot")])
def test_other_words_are_taken_to_be_in_the_data_sets_order(given):
    assert places(given, OWN, "shop") == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("boot", "Trouser", "T_Shirt"), "'T_Shirt' is class 2 .from 0., but class 0 of 'shop'"),
        (("trouser", "ankle boot", "top"), "'trouser' is class 0 .from 0., but class 1 of 'shop'"),
        (("t-shirt", "trouser", "t-shirt"), "'t-shirt' is class 2 .from 0., but class 0 of 'shop'"),
    ],
)
def test_a_name_of_another_class_is_refused_where_not_all_are_the_data_sets_own(given, words):
    with pytest.raises(InputError, match=f"^data.class_names: {words}.* give its names in the order of the teacher's"):
        places(given, OWN, "shop")


def test_names_that_differ_in_spelling_alone_are_told_apart():
    assert places(("a_b", "A B", "ab"), ("A B", "a_b", "ab"), "shop") == [1, 0, 2]
