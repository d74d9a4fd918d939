"""The loops: supervised training and data-free distillation, and what they need to be stopped and to go on."""
