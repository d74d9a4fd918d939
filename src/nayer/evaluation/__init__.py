"""What a student is worth: accuracy, agreement, calibration, cost, pictures, and the report."""
