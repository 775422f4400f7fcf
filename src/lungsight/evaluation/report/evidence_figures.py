"""Pictures of the evidence: a small panel for every source, all of one figure on the same axes.

Colours are told apart by the colour-blind (Okabe & Ito 2008), and every line also differs by its stroke. Names are
written as they stand: matplotlib is kept from reading formulas in them.
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
from matplotlib.ticker import PercentFormatter

from lungsight import RESEARCH_ONLY
from lungsight.evaluation.report.figures import BLUE, GREY, VERMILION, as_words

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
    """A picture's bytes, and what kind they are; width in CSS pixels."""

    content: bytes
    kind: str
    width: int


def groups_by_source(table: pd.DataFrame) -> list[Group]:
    """The rows of each source, internal ones first, at most :data:`AT_MOST`; titles for panels."""
    by = [name for name in ("kind", "source") if name in table.columns]
    if not by:
        return [("", table)]
    keys = list(table[by].drop_duplicates().itertuples(index=False, name=None))
    return [(panel_title(*key), table[(table[by] == list(key)).all(axis=1)]) for key in keys[:AT_MOST]]


def panel_title(*words: object) -> str:
    """``("external", "siim")`` becomes siim over (external); long names are cut."""
    *kind, name = (short(str(word), 24) for word in words)
    return name + (f"\n({kind[0]})" if kind else "")


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
    """A panel for each group on shared axes, one legend for all. ``percent`` names the axes ("x", "y", "xy") that are
    shares shown in per cent."""
    with without_formulas():
        across = min(len(groups), _ACROSS)
        down = math.ceil(len(groups) / across)
        figure = Figure(
            figsize=(max(2.25 * across + 0.35, 4.2), 2.35 * down + 0.75),
            layout=ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97), w_pad=0.06, h_pad=0.06),
        )
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (title, rows) in zip(panels, groups, strict=False):
            draw(axes, rows)
            _dress(axes, title, limits, percent)
        for axes in panels[len(groups) :]:
            axes.set_visible(False)
        figure.supxlabel(x, fontsize=9.5)
        figure.supylabel(y, fontsize=9.5)
        _legend(figure, panels[: len(groups)])
        figure.text(0.995, 0.006, RESEARCH_ONLY, ha="right", va="bottom", fontsize=6.5, color=GREY)
    return figure


def _dress(axes: Axes, title: str, limits: tuple[Any, Any], percent: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", linespacing=1.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
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
    known = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if known:
        figure.legend(
            known.values(),
            known.keys(),
            loc="outside upper left",
            ncols=min(len(known), 4),
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
        drawn = {kind: _saved(figure, kind) for kind in ("svg", "png")}
    kind = min(drawn, key=lambda name: len(drawn[name]))
    return Rendered(
        drawn[kind], {"svg": "image/svg+xml", "png": "image/png"}[kind], round(figure.get_figwidth() * 96)
    )


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()
