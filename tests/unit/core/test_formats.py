"""Numbers are formatted for people."""

import pytest

from nayer.core.formats import SPACE, compact


@pytest.mark.parametrize(
    ("value", "text"),
    [(999, "999"), (1_000, "1 k"), (77_562, "77.6 k"), (999_400, "999 k"), (999_600, "1 M"), (999_999_999, "1 G")],
)
def test_a_large_count_has_three_digits_and_the_unit_that_they_round_to(value, text):
    assert compact(value) == text.replace(" ", SPACE)
