"""The learning-rate finder: train briefly at ever higher rates, and see where the loss still falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fastai.callback.schedule import valley
from fastai.learner import Learner

from lungsight._files import atomic_write, write_whole
from lungsight.training.callbacks import KeepsState
from lungsight.training.recipe import Stage

#: The search ends where the smoothed loss passes this many times its least, as in fastai.
DIVERGES = 4.0


@dataclass(frozen=True)
class LearningRateCurve:
    """Smoothed training loss at each rate, and the rate in the middle of the longest fall (fastai's *valley*)."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    @classmethod
    def of(cls, rates: Sequence[float], losses: Sequence[float], suggestion: float) -> LearningRateCurve:
        """The curve up to where the loss passes :data:`DIVERGES` times its least, or is no longer a number."""
        least, kept = float("inf"), 0
        for loss in losses:
            least = min(least, loss)
            if not loss <= DIVERGES * least:
                break
            kept += 1
        return cls(tuple(rates[:kept]), tuple(losses[:kept]), suggestion)

    def drawn_between(self) -> tuple[float, float]:
        """Lower and upper limit of the losses drawn: the fall fills the figure."""
        low, before = min(self.losses), self.losses[: int(np.argmin(self.losses)) + 1]
        room = max(max(before) - low, 1e-3 * abs(low), 1e-9) / 4
        return low - room, max(before) + room

    def settings(self, stages: Sequence[Stage]) -> list[str]:
        """What to give ``lungsight train`` with ``--set``.

        The first stage, which was searched, gets the suggested rate; the later ones keep the recipe's proportion.
        """
        first = stages[0].lr
        factor = None if first is None else self.suggestion / first[1]
        settings = [f"stages.0.lr={_as_toml(first, factor, self.suggestion)}"]
        later = [(i, stage.lr) for i, stage in enumerate(stages[1:], start=1) if stage.lr is not None]
        return settings + [f"stages.{i}.lr={_as_toml(lr, factor, self.suggestion)}" for i, lr in later if factor]

    def write(self, path: Path) -> None:
        """As CSV, and beside it as PNG."""
        rows = [f"{rate},{loss}\n" for rate, loss in zip(self.rates, self.losses, strict=True)]
        write_whole(path, "lr,loss\n" + "".join(rows))
        self.draw(path.with_suffix(".png"))

    def draw(self, path: Path) -> None:
        """As PNG."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="#0072b2")
        at = np.interp(self.suggestion, self.rates, self.losses)
        axes.plot([self.suggestion], [at], "o", color="#d55e00", label=f"suggested rate {self.suggestion:.1e}")
        axes.set(
            xscale="log", xlabel="learning rate", ylabel="training loss (smoothed)", title="Learning-rate search",
            ylim=self.drawn_between(),
        )  # fmt: skip
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_write(path) as file:
            figure.savefig(file, format="png", dpi=130)


def _as_toml(lr: tuple[float, float] | None, factor: float | None, suggestion: float) -> str:
    """A stage's rates, of its first and its last layers, times ``factor``; without rates the suggestion."""
    if lr is None or factor is None:
        return f"{suggestion:.1e}"
    low, high = (f"{rate * factor:.1e}" for rate in lr)
    return high if low == high else f"[{low}, {high}]"


def search(learner: Learner, iterations: int) -> LearningRateCurve:
    """Search from 1e-7 to 10; the learner's weights and optimizer are as before when it returns."""
    with learner.removed_cbs([callback for callback in learner.cbs if isinstance(callback, KeepsState)]):
        found = learner.lr_find(num_it=iterations, show_plot=False, suggest_funcs=longest_valley)
    rates = tuple(float(rate) for rate in learner.recorder.lrs)
    losses = tuple(float(loss) for loss in learner.recorder.losses)
    return LearningRateCurve.of(rates, losses, float(found[0]))


def longest_valley(rates: list[float], losses: list[float], iterations: int) -> tuple[float, tuple[float, float]]:
    """The valley of fastai; with fewer than three points, in which it finds none, the lowest rate tried."""
    if len(losses) < 3:
        rate = float(rates[0]) if len(rates) else 1e-3
        return rate, (rate, float("nan"))
    suggestion: tuple[float, tuple[float, float]] = valley(rates, losses, iterations)
    return suggestion
