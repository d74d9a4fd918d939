"""Kedro hooks, one file per concern.

Kedro imports them at the start of every command, so slow modules (torch, MLflow) are imported where they are used.
"""
