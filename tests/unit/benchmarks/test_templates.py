"""Tables of the benchmarks' pages."""

from harness.templates import table

HEAD = "| setting | where | n | accuracy |"


def test_what_has_not_run_is_named_below_the_table_place_by_place():
    rows = [["a", "digits", 3, "90.0"], ["b", "digits", 0, ""], ["c", "cifar", 0, ""], ["d", "cifar", 0, ""]]
    made = "| setting | where | n | accuracy |\n|---|---|---|---|\n| a | digits | 3 | 90.0 |\n"
    assert table(HEAD, rows, place=1) == f"{made}\nNot run:\n\n- digits: b\n- cifar: c, d\n"
    assert table(HEAD, rows[:1]) == made


def test_a_table_of_nothing_is_a_line_of_names():
    assert table(HEAD, [["a", "digits", 0, ""], ["b", "digits", "0, 0", ""]]) == "Not run: a, b.\n"


def test_a_row_of_two_counts_is_shown_as_soon_as_one_has_run():
    assert table(HEAD, [["a", "digits", "0, 1", "88.0"]]).endswith("| a | digits | 0, 1 | 88.0 |\n")
