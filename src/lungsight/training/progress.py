"""How a training shows its progress: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from fastai.callback.core import Callback
from fastai.learner import Learner

from lungsight._progress import ProgressBars


def silence(learner: Learner) -> None:
    """Take away fastai's own bar and table: :class:`TrainingBars` and the log say what they would."""
    for bar in [callback for callback in learner.cbs if type(callback).__name__ == "ProgressCallback"]:
        learner.remove_cb(bar)
    learner.logger = lambda _: None


#: Seconds between the lines that stand in for the bars where there is no terminal.
EVERY = 30.0


class TrainingBars(Callback):
    """A bar for the run's epochs and one for the batches of the current epoch; where the console is no terminal, a
    line every :data:`EVERY` seconds."""

    order = 60

    def __init__(self, bars: ProgressBars, total_epochs: int, done_epochs: int) -> None:
        self.bars = bars
        self.done, self.said = done_epochs, time.monotonic()
        self.epochs = bars.add_task("epochs", total=total_epochs, completed=done_epochs)
        self.batches = bars.add_task("batches", total=None)

    def before_train(self) -> None:
        self.bars.reset(self.batches, description="training", total=len(self.dl))

    def before_validate(self) -> None:
        self.bars.reset(self.batches, description="validating", total=len(self.dl))

    def after_batch(self) -> None:
        self.bars.advance(self.batches)
        console, now = self.bars.console, time.monotonic()
        if not console.is_terminal and now - self.said >= EVERY:
            self.said = now
            side = "training" if self.training else "validating"
            console.print(f"epoch {self.done}: {side}, batch {self.iter + 1} of {self.n_iter}", highlight=False)

    def after_validate(self) -> None:
        self.done += 1
        self.bars.advance(self.epochs)
