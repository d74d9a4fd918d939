"""Everything around a Kedro run: parameters, checks, files, hooks and the summary."""
