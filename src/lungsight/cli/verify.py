"""``lungsight verify``: the same as ``lungsight package verify``, where people look for it."""

from lungsight.cli.package import verify as command

__all__ = ["command"]
