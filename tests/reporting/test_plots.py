"""Plots of the evidence: panels, lines and titles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lungsight.reporting.plots import STROKES, panel_title, render, roc_figure, short


def make_curves(*sources: str) -> pd.DataFrame:
    x = np.linspace(0, 1, 400)
    return pd.concat(
        pd.DataFrame({"kind": "external", "source": s, "scope": c, "x": x, "y": x, "low": x, "high": x})
        for s in sources
        for c in ("covid19", "other")
    )


def test_lines_differ_by_colour_and_by_stroke() -> None:
    colours, strokes = zip(*STROKES, strict=True)
    assert len(set(colours)) == len(set(map(str, strokes))) == len(STROKES)


def test_a_panel_for_each_source_with_a_line_for_each_class() -> None:
    figure = roc_figure(make_curves("north", "south"), ("covid19", "other"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["north\n(external)", "south\n(external)"]
    for axes in figure.axes:
        labels = [line.get_label() for line in axes.lines]
        assert labels == ["chance", "COVID-19", "other"]
        assert axes.lines[1].get_linestyle() != axes.lines[2].get_linestyle()
        assert {axes.lines[1].get_xdata()[0], axes.lines[1].get_xdata()[-1]} == {0.0, 1.0}
        assert len(axes.lines[1].get_xdata()) < 200


@given(st.text(max_size=200))
def test_a_title_is_short_and_printable(name: str) -> None:
    assert len(short(name, 24)) <= 24
    assert short(name, 24).isprintable()
    assert panel_title("external", name).endswith("\n(external)")


def test_hostile_names_are_drawn_as_they_are() -> None:
    names = ("<script>alert(1)</script>", "$\\frac{a" + "x" * 400, "–肺\n\x01 🫁")
    rendered = render(roc_figure(make_curves(*names), ("covid19", "other")))
    assert b"<script" not in rendered.content
    assert len(rendered.content) > 5000
