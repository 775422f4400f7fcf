"""What happens besides the optimisation."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lungsight._progress import ProgressBars
from lungsight.training import callbacks as module
from lungsight.training.callbacks import TrainingBars


@pytest.mark.parametrize("terminal", [False, True])
def test_without_a_terminal_a_line_is_printed_every_thirty_seconds(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=80)
    with ProgressBars(console) as bars:
        bars.stop()  # only the lines
        shown = TrainingBars(bars, 3, 1)
        shown.training, shown.n_iter = True, 10
        for shown.iter in range(10):
            now[0] += 8
            shown.after_batch()
        shown.training = False
        shown.after_validate()
        shown.training, shown.iter = True, 0
        now[0] += 30
        shown.after_batch()
    lines = [line for line in written.getvalue().splitlines() if line.startswith("epoch")]
    expected = [
        "epoch 1: training, batch 4 of 10",
        "epoch 1: training, batch 8 of 10",
        "epoch 2: training, batch 1 of 10",
    ]
    assert lines == ([] if terminal else expected)
