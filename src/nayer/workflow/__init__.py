"""What surrounds a Kedro run: parameters, checks, files, hooks, the summary."""
