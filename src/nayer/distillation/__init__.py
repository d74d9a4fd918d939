"""One distillation, top to bottom: plan, build, loop, and the processes that run it."""
