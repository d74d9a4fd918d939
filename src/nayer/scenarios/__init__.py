"""Scenarios: the DVC pipeline file of one, made from what Kedro knows, and the making of new ones."""
