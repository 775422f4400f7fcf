"""The learning-rate finder: train for a moment at ever higher rates and see where the loss still falls."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fastai.callback.schedule import valley
from fastai.learner import Learner

from lungsight._files import atomic_write
from lungsight.training.callbacks import KeepsState


@dataclass(frozen=True)
class LearningRateCurve:
    """Smoothed training loss at each rate, and the rate in the middle of the longest fall (fastai's *valley*)."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def write(self, path: Path) -> None:
        """As CSV, and beside it as a picture."""
        with atomic_write(path, "w") as file:
            writer = csv.writer(file)
            writer.writerow(("lr", "loss"))
            writer.writerows(zip(self.rates, self.losses, strict=True))
        self.draw(path.with_suffix(".png"))

    def draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="#0072b2")
        at = np.interp(self.suggestion, self.rates, self.losses)
        axes.plot([self.suggestion], [at], "o", color="#d55e00", label=f"suggested rate {self.suggestion:.1e}")
        axes.set(
            xscale="log", xlabel="learning rate", ylabel="training loss (smoothed)", title="Learning-rate search"
        )
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_write(path) as file:
            figure.savefig(file, format="png", dpi=130)


def search(learner: Learner, iterations: int) -> LearningRateCurve:
    """Search from 1e-7 to 10; the learner's weights and optimizer are as before when it returns."""
    remembering = [callback for callback in learner.cbs if isinstance(callback, KeepsState)]
    with learner.removed_cbs(remembering):
        found = learner.lr_find(num_it=iterations, show_plot=False, suggest_funcs=longest_valley)
    rates = tuple(float(rate) for rate in learner.recorder.lrs)
    losses = tuple(float(loss) for loss in learner.recorder.losses)
    return LearningRateCurve(rates, losses, float(found[0]))


def longest_valley(rates: list[float], losses: list[float], iterations: int) -> tuple[float, tuple[float, float]]:
    """fastai's valley, which can't be found in fewer points than three: then the lowest rate tried."""
    if len(losses) < 3:
        rate = float(rates[0]) if len(rates) else 1e-3
        return rate, (rate, float("nan"))
    suggestion: tuple[float, tuple[float, float]] = valley(rates, losses, iterations)
    return suggestion
