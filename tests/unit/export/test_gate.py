"""The gate of INT8 files: a loss equal to the limit passes; a larger one is refused with both figures and ways out."""

import pytest

from nayer.core.errors import Refused
from nayer.pipelines.quantize.nodes import check_precisions


@pytest.mark.parametrize("loss", [-0.2, 0.0, 1.0])
def test_what_loses_no_more_than_allowed_passes(loss):
    check_precisions({"loss_points": loss, "largest_loss": 1.0}, "page")


def test_what_loses_more_is_refused_with_the_key_the_figures_and_the_way_out():
    with pytest.raises(
        Refused, match=r"^quantize.gate.largest_loss: INT8 loses 1.25 points, over the 1 allowed; .*quantize.images"
    ):
        check_precisions({"loss_points": 1.25, "largest_loss": 1.0}, "page")
