"""A report names the method that made the student."""

import pytest

from nayer.core.errors import InputError
from nayer.pipelines.evaluate.nodes import check_method


@pytest.mark.parametrize("provenance", [{}, {"method": "NAYER"}])
def test_parameters_of_the_students_method_pass(provenance, teacher, distill_config):
    teacher.provenance = provenance
    check_method(teacher, distill_config())


def test_parameters_of_another_method_are_refused(teacher, distill_config):
    teacher.provenance = {"method": "DAFL"}
    with pytest.raises(InputError, match=r"distill\.synthesis\.method: nayer, but the student was distilled by DAFL"):
        check_method(teacher, distill_config())
