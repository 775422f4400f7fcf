"""Finds images that show the same exposure."""
