"""What everything else builds on: errors, files, the base of parameters, and images."""
