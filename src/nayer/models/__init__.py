"""Classifiers and generators, and the file that carries a classifier."""
