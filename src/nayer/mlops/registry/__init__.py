"""Versions of a student in the MLflow model registry, and the gate before its champion."""
