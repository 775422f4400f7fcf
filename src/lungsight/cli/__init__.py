"""The command line: one thin module per command."""

from lungsight.cli.root import app, main

__all__ = ["app", "main"]
