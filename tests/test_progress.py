"""The bars of every command."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lungsight._progress import ProgressBars


@pytest.mark.parametrize("terminal", [False, True])
def test_bars_are_drawn_on_a_terminal_only(terminal: bool) -> None:
    written = io.StringIO()
    with ProgressBars(Console(file=written, force_terminal=terminal, width=100)) as bars:
        bars.counting("reading")(3, 7)
        advance = bars.advancing("comparing", 10)
        advance(4)
        advance(5)
        assert [(task.description, task.completed, task.total) for task in bars.tasks] == [
            ("reading", 3, 7),
            ("comparing", 9, 10),
        ]
        bars.refresh()
    assert ("reading" in written.getvalue() and "9/10" in written.getvalue()) == terminal
    assert bool(written.getvalue()) == terminal
