"""``lungsight verify``: the same as ``lungsight package verify``, where people look for it."""

from __future__ import annotations

from lungsight.cli.package import Package, verify


def command(package: Package) -> None:
    """Check that nothing in a model package was altered and that it still says what it said where it was made.

    Every file is held against its sha256, and every network is run on the package's reference images. The exit status
    is 0 when all is well, else 3 with one sentence that says what is wrong.

    Example: [bold]lungsight verify released[/bold]
    """
    verify(package)
