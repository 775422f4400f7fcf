"""Plots of the evidence: a small panel for every source, all of one figure on the same axes.

The colour-blind can tell the colours apart (Okabe & Ito 2008), and every line also differs by its stroke. Names are
written as they are: matplotlib doesn't read formulas in them.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lungsight import RESEARCH_ONLY
from lungsight._text import as_words
from lungsight.reporting.training_plots import BLUE, GREY, VERMILION

GREEN, PURPLE, ORANGE, BLACK = "#009E73", "#AA4499", "#B8860B", "#111827"
#: Colour and stroke of the first, second … line of a panel.
STROKES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (VERMILION, (0, (5, 2))),
    (GREEN, (0, (6, 2, 1, 2))),
    (PURPLE, (0, (1, 1.4))),
    (ORANGE, (0, (3, 1, 1, 1, 1, 1))),
    (BLACK, (0, (9, 3))),
)
#: Panels that fit beside each other, and panels that a figure shows at most.
_ACROSS, AT_MOST = 5, 15
#: Points of a curve that can be told apart in a panel.
_POINTS = 160
_PNG_DPI = 150

#: A panel's title, and its rows of a table.
Group = tuple[str, pd.DataFrame]
Draw = Callable[[Axes, pd.DataFrame], None]


@dataclass(frozen=True)
class Rendered:
    """A plot's bytes, and what kind they are; width in CSS pixels."""

    content: bytes
    kind: str
    width: int


def groups_by_source(table: pd.DataFrame) -> list[Group]:
    """The rows of each source, internal ones first, at most :data:`AT_MOST`; titles for panels."""
    by = ["kind", "source"]
    keys = list(table[by].drop_duplicates().itertuples(index=False, name=None))
    return [(panel_title(*key), table[(table[by] == list(key)).all(axis=1)]) for key in keys[:AT_MOST]]


def panel_title(kind: object, source: object) -> str:
    """The source over its kind in brackets; long names are cut."""
    return f"{short(str(source), 24)}\n({short(str(kind), 24)})"


def short(text: str, length: int) -> str:
    """On one line, cut in the middle where longer than ``length``, without what can't be printed."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    half = (length - 1) // 2
    return line if len(line) <= length else f"{line[: length - 1 - half]}…{line[-half:]}"


def roc_figure(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """ROC curves: ``classes[0]`` with its band, the others as lines."""
    return _curves(table, classes, "1 − specificity", "Sensitivity", _chance_diagonal)


def precision_recall_figure(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Precision-recall curves: ``classes[0]`` with its band, the others as lines."""
    return _curves(table, classes, "Recall (sensitivity)", "Precision (PPV)", lambda axes, rows: None)


def _curves(table: pd.DataFrame, classes: Sequence[str], x: str, y: str, backdrop: Draw) -> Figure:
    def draw(axes: Axes, rows: pd.DataFrame) -> None:
        backdrop(axes, rows)
        for i, name in enumerate(classes):
            of_class = rows[rows["scope"] == name]
            if len(of_class):
                _line(axes, of_class, "x", "y", i, as_words(short(name, 30)), band=i == 0)

    return small_multiples(groups_by_source(table), draw, x, y, limits=((0, 1), (0, 1.02)))


def reliability_figure(table: pd.DataFrame) -> Figure:
    """How often the target was true by the probability it was given; shaded, where a calibrated model would be."""

    def draw(axes: Axes, rows: pd.DataFrame) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (2, 3)), label="calibrated")
        x = rows["mean_probability"].to_numpy(dtype=float)
        low, high = (rows[name].to_numpy(dtype=float) for name in ("calibrated_low", "calibrated_high"))
        axes.fill_between(x, low, high, color=GREY, alpha=0.2, lw=0, label="calibrated, 95 of 100 samples")
        observed, low, high = (rows[name].to_numpy(dtype=float) for name in ("observed", "low", "high"))
        axes.vlines(x, low, high, color=BLUE, lw=1.2)
        axes.plot(x, observed, color=BLUE, lw=1.2, marker="o", ms=3.5, label="observed (95% interval)")

    labels = ("Probability given (mean of the bin)", "Observed share")
    return small_multiples(groups_by_source(table), draw, *labels, limits=((0, 1), (0, 1.02)))


def risk_coverage_figure(table: pd.DataFrame) -> Figure:
    """The share of wrong decisions among the surest, by how many of them are taken."""

    def draw(axes: Axes, rows: pd.DataFrame) -> None:
        _line(axes, rows, "coverage", "risk", 0, "the model (95% band)")

    top = float(np.nanmax(table[["risk", "high"]].to_numpy(dtype=float), initial=0.1))
    labels = ("Coverage: share of the images that are decided, surest first", "Risk: share decided wrongly")
    return small_multiples(groups_by_source(table), draw, *labels, limits=((0, 1), (0, top * 1.05)), percent="xy")


def costs_figure(table: pd.DataFrame) -> Figure:
    """Missed images of the target and false alarms among the answered, by the share of images left inconclusive."""

    def draw(axes: Axes, rows: pd.DataFrame) -> None:
        for i, (name, words) in enumerate((("missed", "missed"), ("false_alarms", "false alarms"))):
            _line(axes, rows, "inconclusive", name, i, words, band=False)

    highest = table[["missed", "false_alarms"]].to_numpy(dtype=float)
    top = float(np.nanmax(highest, initial=0.1)) * 1.05
    labels = ("Share of the images left inconclusive", "Share of wrong answers")
    return small_multiples(groups_by_source(table), draw, *labels, limits=((0, 1), (0, top)), percent="xy")


def decision_curve_figure(table: pd.DataFrame) -> Figure:
    """Net benefit by threshold of acting on the model, on everyone, on no one (Vickers & Elkin 2006)."""

    def draw(axes: Axes, rows: pd.DataFrame) -> None:
        bands = rows.rename(columns={"net_benefit_low": "low", "net_benefit_high": "high"})
        _line(axes, bands, "threshold", "net_benefit", 0, "act on the model (95% band)")
        _line(axes, rows, "threshold", "treat_all", 1, "act on everyone", band=False)
        axes.axhline(0, color=BLACK, lw=1, ls=(0, (1, 2)), label="act on no one")

    top = float(np.nanmax(table[["net_benefit", "treat_all"]].to_numpy(dtype=float), initial=0.05))
    labels = ("Threshold: probability from which one acts", "Net benefit")
    return small_multiples(groups_by_source(table), draw, *labels, limits=(None, (-0.35 * top, 1.1 * top)))


def _chance_diagonal(axes: Axes, rows: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (2, 3)), label="chance")


def small_multiples(
    groups: Sequence[Group],
    draw: Draw,
    x: str,
    y: str,
    *,
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None),
    percent: str = "",
) -> Figure:
    """A panel for each group on shared axes, one legend for all; ``percent`` names the axes ("xy") in per cent."""
    across = min(len(groups), _ACROSS)
    down = math.ceil(len(groups) / across)
    side = 2.2 if across > 3 else 2.6
    width, height = max(side * across + 0.4, 4.4), side * down + 0.9
    with without_formulas():
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1 - 0.16 / width, 1), w_pad=0.06, h_pad=0.06)
        figure = Figure(figsize=(width, height), layout=layout)
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (title, rows) in zip(panels, groups, strict=False):
            draw(axes, rows)
            _dress(axes, title, limits, percent)
        for axes in panels[len(groups) :]:
            axes.set_visible(False)
        figure.supxlabel(x, fontsize=9.5)
        figure.supylabel(y, fontsize=9.5)
        _legend(figure, list(panels[: len(groups)]))
        at: dict[str, Any] = {"ha": "right", "va": "bottom", "rotation": 90}
        figure.text(1 - 0.03 / width, 0.08 / height, RESEARCH_ONLY, fontsize=6.5, color=GREY, **at)
    return figure


def _dress(axes: Axes, title: str, limits: tuple[Any, Any], percent: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", linespacing=1.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2.5, 5, 10]))
    axes.grid(color="#e5e7eb", lw=0.6)
    axes.set_axisbelow(True)
    if limits[0]:
        axes.set_xlim(*limits[0])
    if limits[1]:
        axes.set_ylim(*limits[1])
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        if name in percent:
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    known: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if known:
        columns = 2 if len(panels) < 3 else 4
        figure.legend(
            list(known.values()),
            list(known),
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            fontsize=8.5,
            handlelength=3.2,
        )


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, stroke: int, label: str, *, band: bool = True) -> None:
    rows = _thinned(rows)
    colour, style = STROKES[stroke % len(STROKES)]
    xs, ys = rows[x].to_numpy(dtype=float), rows[y].to_numpy(dtype=float)
    axes.plot(xs, ys, color=colour, ls=style, lw=1.9 if stroke == 0 else 1.3, label=label)
    if band and {"low", "high"} <= set(rows.columns):
        low, high = rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
        axes.fill_between(xs, low, high, color=colour, alpha=0.18, lw=0)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) <= _POINTS:
        return rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _POINTS).round().astype(int))]


@contextmanager
def without_formulas() -> Iterator[None]:
    """Dollar signs stay dollar signs; a letter that the font lacks is shown as a box, without a warning."""
    with mpl.rc_context({"text.parse_math": False, "svg.hashsalt": "lungsight"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def render(figure: Figure) -> Rendered:
    """As SVG or PNG, whichever is smaller."""
    with without_formulas():
        figure.draw_without_rendering()  # places everything, which takes longer than drawing: once for both kinds
        figure.set_layout_engine(None)
        drawn = {kind: _saved(figure, kind) for kind in ("svg", "png")}
    kind = min(drawn, key=lambda name: len(drawn[name]))
    return Rendered(
        drawn[kind], {"svg": "image/svg+xml", "png": "image/png"}[kind], round(figure.get_figwidth() * 96)
    )


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()
