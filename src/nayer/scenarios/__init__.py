"""Scenarios: the making of new ones, and the DVC pipeline file of one, made from what Kedro knows."""
