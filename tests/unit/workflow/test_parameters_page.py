"""docs/parameters.md holds the docstrings of the parameters, and each of them has one."""

from pathlib import Path

from nayer.workflow.parameters_page import render

PAGE = Path(__file__).parents[3] / "docs" / "parameters.md"


def test_the_page_is_what_the_docstrings_give():
    assert PAGE.read_text() == render(), "type: make parameters"


def test_every_parameter_has_a_row_with_a_description_and_a_method_its_published_values():
    rows = {cells[1].strip(" `"): cells for line in render().splitlines() if (cells := line.split("|"))[1:]}
    assert not [key for key, cells in rows.items() if not cells[-2].strip()]
    assert rows["runtime.checkpoint_seconds"][2].strip() == "number, above 0"
    assert rows["runtime.threads"][2].strip() == "whole number, at least 1, at most 1024, or null"
    assert rows["distill.synthesis.activation_weight"][3].strip() == "`0.1`"
    assert "teacher.training.augmentation.padding" in rows
