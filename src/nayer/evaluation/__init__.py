"""Evaluation of a student: accuracy, agreement, calibration, cost, figures, and the report."""
