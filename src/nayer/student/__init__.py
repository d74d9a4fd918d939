"""How a student learns from synthetic images."""
