"""Whom a model is tested on, and what it said: ours through its package, anybody's through a table."""
