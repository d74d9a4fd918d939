"""Classifiers, and the file that carries one."""
