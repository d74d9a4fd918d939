"""Versions of a student in the MLflow model registry, and the gate that decides which one becomes champion."""
