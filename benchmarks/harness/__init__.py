"""A study: many runs of the library under equal terms, from a queue into one table."""
