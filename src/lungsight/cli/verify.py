"""``lungsight verify``: the same as ``lungsight package verify``."""

from lungsight.cli.package import verify as command

__all__ = ["command"]
