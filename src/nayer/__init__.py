"""Compress a trained image classifier without its training data (NAYER, arXiv 2310.00258)."""

import os

# MLflow decides about telemetry when it is imported, so this must come first.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

__version__ = "0.1.0"
