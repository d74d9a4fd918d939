"""The losses of twenty synthetic batches and student steps, which no change of the code may change."""

from pathlib import Path

from nayer.distillation.build import build
from nayer.distillation.plan import Plan

GOLDEN = Path(__file__).parents[2] / "assets" / "golden_losses.json"
# Settings under which another processor's rounding does not matter: at a temperature of 20, fp32 keeps three digits of
# such a small divergence, and with most seeds some pixel lies at the edge between two grey levels.
SETTINGS = {"synthesis__batch_size": 12, "synthesis__steps": 1, "student__temperature": 1.0, "seed": 1}


def golden_losses(plan: Plan) -> list[list[float]]:
    state = build(plan)
    found = []
    state.method.start_epoch(1)
    for _ in range(20):
        made = state.method.step(state.trainer.student)
        state.targets.add(made.images, made.labels)
        loss, _ = state.learn(plan.config.student)
        found.append([made.losses["ce"].item(), made.losses["bn"].item(), loss.item()])
    return found
