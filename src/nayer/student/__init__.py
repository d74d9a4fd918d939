"""The student: how it is built and how it learns from synthetic images."""
