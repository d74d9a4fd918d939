"""A model card fits where MLflow keeps it, whatever the number of classes."""

from pathlib import Path

import pytest

from nayer.mlops.registry.model_card import render_card
from nayer.mlops.registry.versions import LARGEST_DESCRIPTION

PROJECT = Path(__file__).parents[4]


@pytest.fixture
def card(evaluated, images):
    """Builds the card of a student of these classes."""
    candidate = evaluated(images, 0.9)

    def build(names: tuple[str, ...]) -> str:
        candidate.student.class_names = names
        return render_card("m", candidate.student, candidate.embeddings, candidate.metrics, candidate.cost, {"a": "b"})

    return build


def test_the_card_of_many_classes_names_the_first_and_says_where_the_others_are(card):
    names = tuple((PROJECT / "conf/imagenet/class_names.txt").read_text().splitlines())
    found = card(names)
    assert len(found) <= LARGEST_DESCRIPTION
    assert "**Output** logits (N, 1000), in the order: tench, goldfish, " in found
    (line,) = (line for line in found.splitlines() if line.startswith("**Output**"))
    said, _, others = line.partition(", and ")
    named = said.partition("in the order: ")[2].split(", ")
    assert tuple(named) == names[: len(named)]
    assert others == f"{1000 - len(named)} more: `class_names` in the metadata of the model."
    assert "- a: b" in found, "it is not cut"


def test_the_card_of_few_classes_names_them_all(card):
    assert "in the order: ant, bee, cat.\n" in card(("ant", "bee", "cat"))
