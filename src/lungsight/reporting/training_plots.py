"""Plots of a run: confusion matrices, loss curves, learning rates.

The colour-blind can tell the colours apart (Okabe & Ito 2008), and every line also differs by its stroke.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lungsight import RESEARCH_ONLY
from lungsight._files import atomic_write
from lungsight._text import as_words

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#6b7280"
_DPI = 130


def confusion_figure(confusion: NDArray[np.int64], classes: tuple[str, ...], title: str) -> Figure:
    """Counts, and the share of each true class (row) that went to each predicted class; colour is that share."""
    k = len(classes)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    figure, axes = _blank(title, width=3.4 + 1.15 * k, height=2.6 + 0.95 * k)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(k, k):
        text = f"{confusion[i, j]}\n{shares[i, j]:.0%}" if totals[i, 0] else "0\n–"
        colour = "white" if shares[i, j] > 0.55 else "#111827"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=12, linespacing=1.4)
    names = [as_words(name) for name in classes]
    axes.set_xticks(range(k), names)
    axes.set_yticks(range(k), [f"{name}\nn = {total}" for name, total in zip(names, totals[:, 0], strict=True)])
    axes.set_xlabel("Predicted")
    axes.set_ylabel("Reference standard")
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=3)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return figure


def confusion_table(confusion: NDArray[np.int64], classes: tuple[str, ...]) -> pd.DataFrame:
    """The confusion matrix with the true class in the first column and a column for each predicted class."""
    table = pd.DataFrame(confusion, columns=[f"predicted_{name}" for name in classes])
    table.insert(0, "truth", list(classes))
    return table


def loss_figure(history: pd.DataFrame, title: str = "Loss while training") -> Figure:
    """Training and validation loss after every epoch; vertical lines mark where a stage begins."""
    figure, axes = _blank(title)
    epochs = history["epoch"]
    dots = "o" if len(history) <= 40 else ""
    axes.plot(epochs, history["train_loss"], color=BLUE, label="training", marker=dots, markersize=4)
    axes.plot(epochs, history["valid_loss"], color=VERMILION, ls="--", label="validation", marker=dots, markersize=4)
    _mark_stages(axes, history, "epoch")
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Cross-entropy loss (mean per image)")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def learning_rate_figure(batches: pd.DataFrame, title: str = "Learning rate") -> Figure:
    """The highest layer's learning rate at every batch, on a logarithmic axis; vertical lines mark the stages."""
    figure, axes = _blank(title)
    axes.plot(batches["step"], batches["lr"], color=BLUE)
    axes.set_yscale("log")
    _mark_stages(axes, batches, "step")
    axes.set_xlabel("Batch")
    axes.set_ylabel("Learning rate (last layers)")
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=_DPI)


def _blank(title: str, width: float = 7.6, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=(0, 0.045, 1, 0.955)))
    figure.text(0.99, 0.012, RESEARCH_ONLY, ha="right", va="bottom", fontsize=7, color=GREY)
    axes: Any = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=20)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _mark_stages(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """Shade every other stage, and write its number above where there is room for it."""
    starts = rows.groupby("stage", sort=True)[x].min().astype(float)
    last = float(rows[x].max())
    if len(starts) < 2:
        return
    ends = [*starts.to_numpy()[1:], last]
    width = max(last - float(starts.iloc[0]), 1.0)
    for i, ((stage, start), end) in enumerate(zip(starts.items(), ends, strict=True)):
        if i % 2:
            axes.axvspan(start, end, color="#f1f3f5", zorder=0, linewidth=0)
        if end - start > 0.035 * width:
            name = f"stage {stage}" if end - start > 0.12 * width else f"{stage}"
            middle = (start + end) / 2
            above = axes.get_xaxis_transform()
            axes.text(middle, 1.01, name, transform=above, fontsize=8, color=GREY, ha="center", va="bottom")
