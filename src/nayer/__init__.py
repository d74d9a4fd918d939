"""Compress a trained image classifier without its training data (NAYER, arXiv 2310.00258)."""

__version__ = "0.1.0"
