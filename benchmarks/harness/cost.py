"""What a step costs: its seconds on this machine, and its counted work."""

from torch.utils.flop_counter import FlopCounterMode

from nayer.distillation.build import build_method
from nayer.distillation.cost import FEW, StepSeconds, first_step, time_steps, timed_build
from nayer.distillation.plan import Plan


class Cost(StepSeconds):
    """Seconds and counted GFLOP of the steps of one method for one pair of teacher and student."""

    start: float = 0.0
    """Seconds before the first batch, for the networks and the student's start from its teacher."""
    synthesis_gflop: float
    student_gflop: float


def measure(plan: Plan) -> Cost:
    """Measure the steps of a plan that is not compiled, as FLOP are counted operation by operation."""
    state, start = timed_build(plan)
    seconds = time_steps(plan, state, first_step(plan, state))
    method, student = build_method(plan, state.method.context.teacher, FEW), state.trainer.student
    method.start_epoch(plan.config.warmup_epochs)
    with FlopCounterMode(display=False) as synthesis:
        method.step(student)
    state.recorder.on = False
    with FlopCounterMode(display=False) as learning:
        state.learn(plan.config.student)
    return Cost(
        **seconds.model_dump(),
        start=start,
        synthesis_gflop=synthesis.get_total_flops() / FEW / 1e9,
        student_gflop=learning.get_total_flops() / 1e9,
    )
