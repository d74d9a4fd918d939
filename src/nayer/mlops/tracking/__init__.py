"""Tracking of a run in MLflow while it is in progress."""
