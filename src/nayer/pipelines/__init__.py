"""Kedro pipelines: wiring in `pipeline.py`, adapters of the library in `nodes.py`."""
