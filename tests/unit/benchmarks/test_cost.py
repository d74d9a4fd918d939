"""The cost of a step is measured for each kind of step, and its FLOP are the same each time."""

from harness.cost import measure


def test_measuring_counts_every_kind_of_step(make_plan):
    found = measure(make_plan(warmup_epochs=0))
    again = measure(make_plan(warmup_epochs=0))
    assert min(found.model_dump().values()) > 0
    assert (found.synthesis_gflop, found.student_gflop) == (again.synthesis_gflop, again.student_gflop)
    larger = measure(make_plan(warmup_epochs=0, synthesis__generator_width=8))
    assert larger.synthesis_gflop > found.synthesis_gflop
    assert larger.student_gflop == found.student_gflop
    fitted_first = measure(make_plan(warmup_epochs=0, student__start="reconstructed"))
    assert fitted_first.start > 2 * found.start, "it draws pictures"
