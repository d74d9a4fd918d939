"""Errors, files, the base of parameters, images: what everything else stands on."""
