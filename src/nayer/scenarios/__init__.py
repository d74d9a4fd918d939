"""Scenarios: creating a new one, and generating the DVC pipeline file of any from its Kedro pipelines."""
