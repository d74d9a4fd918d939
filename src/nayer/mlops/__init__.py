"""MLflow integration: run tracking and the model registry."""
