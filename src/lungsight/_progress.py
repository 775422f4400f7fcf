"""Progress bars on standard error, drawn with rich; nothing is drawn where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressBars(Progress):
    """One bar for each step that takes longer than about two seconds; they disappear at the end.

    Args:
        console: where to draw; standard error if not given.
        columns: what stands between bar and times; if not given, how many are done of how many.
    """

    def __init__(self, console: Console | None = None, *columns: ProgressColumn) -> None:
        console = console or Console(stderr=True)
        between = columns or (MofNCompleteColumn(),)
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        super().__init__(
            TextColumn("{task.description}"), BarColumn(), *between, *times,
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip

    def counting(self, name: str) -> Callable[[int, int | None], None]:
        """A bar for ``name``, as a function that takes how many are done and how many there are."""
        task = self.add_task(name, total=None)
        return lambda done, total: self.update(task, completed=done, total=total)

    def advancing(self, name: str, total: int | None = None) -> Callable[[int], None]:
        """A bar for ``name``, as a function that takes how many more are done."""
        task = self.add_task(name, total=total)
        return lambda more: self.advance(task, more)
