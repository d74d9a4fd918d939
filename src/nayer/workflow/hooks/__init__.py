"""Kedro hooks, one file a concern.

Kedro imports them at the start of every command: what is slow to import (torch, MLflow) is imported where it is used.
"""
