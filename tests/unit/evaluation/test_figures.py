"""Figures of few and of many classes, and of runs at the limits of what the configuration allows."""

import io

import matplotlib as mpl
import pandas as pd
import pytest
import torch

from nayer.evaluation import figures, lettering
from nayer.synthesis.methods.nayer import Nayer


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_all_figures_build_and_draw(drawn, classes):
    settings = dict(mpl.rcParams)
    for name, figure in drawn(classes).items():
        assert png(figure).startswith(b"\x89PNG"), name
    assert dict(mpl.rcParams) == settings, "matplotlib is left as it was"


def test_names_stand_on_the_axes_up_to_forty_classes():
    for classes, named in ((40, True), (41, False)):
        names = [f"name {index}" for index in range(classes)]
        axes = figures.embedding_similarity(torch.eye(classes), names).axes[0]
        shown = [label.get_text() for label in axes.get_yticklabels()]
        assert (names == shown) is named


def test_at_most_twenty_classes_are_shown_with_their_names_as_they_are():
    names = ["$a_b$ <i>", *(f"name {index}" for index in range(1, 30))]
    images = torch.zeros(30, 1, 4, 4, dtype=torch.uint8)
    figure = figures.synthetic_images(images, torch.arange(30), names)
    shown = [label for axes in figure.axes for label in axes.get_yticklabels()]
    assert [label.get_text() for label in shown] == names[:20]
    assert not any(label.get_parse_math() for label in shown), "a dollar is a dollar"
    assert png(figure)


def test_each_image_stands_in_the_row_of_its_class():
    images = torch.stack([torch.full((1, 4, 4), value, dtype=torch.uint8) for value in (10, 200, 20)])
    figure = figures.synthetic_images(images, torch.tensor([0, 2, 0]), ["ant", "bee", "cat"], per_class=2)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ant", "cat"], "a class without image is left out"
    sheet = axes.images[0].get_array()
    assert sheet[0, 0, 0] == 10
    assert sheet[0, 5, 0] == 20
    assert sheet[5, 0, 0] == 200


def test_no_image_and_no_class_at_all_still_draw():
    images = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    assert png(figures.synthetic_images(images, torch.zeros(0, dtype=torch.long), ["ant", "bee"]))


@pytest.mark.parametrize("part", ["warm-up", "distillation"])
def test_histories_of_one_phase_or_one_epoch(teacher_history, distill_history, part):
    history = distill_history[distill_history["phase"] == part]
    for rows in (history, history.head(1)):
        assert png(figures.training_curves(teacher_history.head(len(rows)), rows, Nayer.loss_names))


def test_the_terms_of_any_method_are_drawn_under_its_names_and_those_below_zero_turned(teacher_history):
    history = pd.DataFrame(
        {"epoch": [1, 2], "phase": "distillation", "big": [3.0, 2.0], "wanted": [-1.0, -4.0], "off": 0.0}
        | {"kd_loss": 1.0, "agreement": 0.5}
    )
    names = {"big": "a large one", "wanted": "another", "off": "not in use"}
    synthesis = figures.training_curves(teacher_history, history, names).axes[2]
    drawn = {line.get_label(): line.get_ydata().tolist() for line in synthesis.lines}
    assert drawn["a large one"] == [3, 2]
    assert drawn["\N{MINUS SIGN}another"] == [1, 4]
    assert {"a large one", "\N{MINUS SIGN}another", "not in use"} == set(drawn)


def test_confusion_is_a_share_of_the_true_class():
    names = ["ant", "bee"]
    figure = figures.confusion(pd.DataFrame([[3, 1], [0, 0]], index=names, columns=names))
    assert figure.axes[0].images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "1", "", ""]


def test_identical_embeddings_are_one():
    figure = figures.embedding_similarity(torch.tensor([[1.0, 0], [2, 0], [0, 3]]), ["ant", "bee", "cat"])
    assert figure.axes[0].images[0].get_array().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_a_name_in_letters_that_no_font_has_is_written_as_its_number(drawn, monkeypatch, recwarn):
    monkeypatch.setattr(lettering, "families", lambda: ["DejaVu Sans"])
    lettering.drawable.cache_clear()
    assert lettering.written(["Kräuter", "狐", "a\nlong name of more than twenty letters"]) == [
        "Kräuter",
        "class 1",
        "a long name of more t…",
    ]
    names = [chr(0x72D0 + place) for place in range(3)]
    assert png(figures.embedding_similarity(torch.eye(3), names))
    assert png(figures.synthetic_images(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.arange(3), names))
    assert not [each for each in recwarn if "Glyph" in str(each.message)]
    lettering.drawable.cache_clear()
