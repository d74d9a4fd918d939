"""One distillation from start to end: the plan, the build, the loop, and the processes that run it."""
