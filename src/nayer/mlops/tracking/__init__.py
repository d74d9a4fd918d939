"""What goes to MLflow while a run works."""
