"""What a search for a learning rate shows and proposes."""

from __future__ import annotations

import numpy as np

from lungsight.training.lr_search import LearningRateCurve
from lungsight.training.recipe import Stage, load_recipe

RATES = tuple(np.geomspace(1e-7, 10, 9).tolist())


def test_the_curve_ends_where_the_loss_passes_four_times_its_least() -> None:
    curve = LearningRateCurve.of(RATES, (1.1, 1.1, 1.0, 0.5, 0.8, 1.9, 2.1, 9.0, 0.4), 1e-3)
    assert curve.losses == (1.1, 1.1, 1.0, 0.5, 0.8, 1.9)
    assert curve.rates == RATES[:6]
    no_number = LearningRateCurve.of(RATES, (1.1, 1.0, float("nan"), 0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 1e-3)
    assert no_number.losses == (1.1, 1.0)


def test_the_fall_fills_the_picture_whatever_comes_after_it() -> None:
    low, high = LearningRateCurve.of(RATES, (1.1, 1.15, 1.0, 0.5, 0.8, 1.9, 1.95, 1.99, 1.99), 1e-3).drawn_between()
    assert 0.3 < low < 0.5
    assert 1.15 < high < 1.4
    low, high = LearningRateCurve(RATES, (0.7,) * 9, 1e-3).drawn_between()
    assert low < 0.7 < high


def test_the_settings_are_those_of_the_stage_searched_and_in_proportion_of_the_later_ones() -> None:
    curve = LearningRateCurve(RATES, (0.5,) * 9, 1.5e-3)
    demo = load_recipe("demo", [])
    said = curve.settings(demo.stages)
    assert said == ["stages.0.lr=1.5e-03", "stages.1.lr=[1.5e-04, 1.5e-03]"]
    changed = load_recipe("demo", said)
    assert changed.stages[0].lr == (1.5e-3, 1.5e-3)
    assert changed.stages[1].lr == (1.5e-4, 1.5e-3)


def test_a_stage_without_a_rate_gets_the_one_found() -> None:
    curve = LearningRateCurve(RATES, (0.5,) * 9, 2e-3)
    assert curve.settings((Stage(epochs=1), Stage(epochs=2, lr=(1e-4, 1e-3)))) == ["stages.0.lr=2.0e-03"]
