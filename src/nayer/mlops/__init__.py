"""What goes to MLflow, and what comes from it."""
