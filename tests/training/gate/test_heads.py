"""Heads, thresholds and weights on features that are drawn, so that the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.training.gate.examples import KINDS, Examples, _weights
from lungsight.training.gate.heads import fit_heads, predict
from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.gate.thresholds import choose_thresholds, weighted_quantile

RECIPE = GateRecipe(epochs=20, components=19, batch_size=32, lr=2e-2)
FEATURES = 20


def drawn(n: int = 400, seed: int = 0) -> Examples:
    """Two sources of frontal films about the origin, photographs three standard deviations off in one feature."""
    rng = np.random.default_rng(seed)
    kind = np.where(np.arange(n) % 4 == 3, KINDS.index("picture"), 0)
    features = rng.standard_normal((n, FEATURES)).astype(np.float32)
    features[:, 0] += np.where(kind == 0, 0, 6)
    inverted = (rng.random(n) < 0.2) & (kind == 0)
    features[inverted, 1] += 6
    turn = np.where((kind == 0) & (rng.random(n) < 0.2), 2, 0)
    features[turn == 2, 2] += 6
    source = np.where(kind == 0, np.where(np.arange(n) % 2, "north", "south"), "").astype(object)
    plain = (turn == 0) & ~inverted
    signs = np.stack([inverted, 0 * inverted, 0 * inverted], axis=1).astype(np.float32)
    return Examples(
        features, kind, turn, signs, source, source, source, np.full(n, np.nan, dtype=np.float32), source, plain,
        plain, np.arange(n) % 5 == 0, np.ones(n, dtype=np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> Examples:
    return drawn()


def test_heads_tell_kinds_turns_and_inversion_of_examples_not_seen(examples: Examples) -> None:
    heads = fit_heads(RECIPE, examples, seed=1)
    new = drawn(seed=9)
    output = predict(heads, new)
    assert (output.kinds.argmax(dim=1).numpy() == new.kind).mean() > 0.85
    frontal = new.frontal
    assert (output.turns.argmax(dim=1).numpy() == new.turn)[frontal].mean() > 0.85
    assert ((output.signs[:, 0].numpy() > 0) == (new.signs[:, 0] > 0))[frontal].mean() > 0.85


def test_plain_radiographs_lie_at_about_one_and_pictures_farther(examples: Examples) -> None:
    distance = predict(fit_heads(RECIPE, examples, seed=1), examples).distance.numpy()
    assert np.median(distance[examples.real & examples.plain]) == pytest.approx(1, abs=0.1)
    assert np.median(distance[~examples.frontal]) > 1.3


def test_the_same_seed_gives_the_same_heads(examples: Examples) -> None:
    first, again, other = (fit_heads(RECIPE, examples, seed=s).state_dict() for s in (4, 4, 5))
    assert all(bool((first[name] == again[name]).all()) for name in first)
    assert not all(bool((first[name] == other[name]).all()) for name in first)


def test_thresholds_come_from_sources_left_out(examples: Examples) -> None:
    logged: list[str] = []
    chosen = choose_thresholds(RECIPE.model_copy(update={"refused_of_real": 0.05}), examples, 0, logged.append)
    assert 0.05 <= chosen.least_probability <= 0.9
    assert chosen.greatest_distance > 1
    assert [sentence.split(":")[0] for sentence in logged] == ["without north", "without south"]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 1))
def test_weighted_quantile_of_equal_weights_is_numpys(values: list[float], share: float) -> None:
    array = np.array(values)
    found = weighted_quantile(array, np.ones(len(array)), share)
    assert found == np.quantile(array, share, method="inverted_cdf") or abs(share * len(array) % 1) < 1e-6


def test_frontal_films_weigh_two_fifths_and_groups_share() -> None:
    kind = np.array([0] * 10 + [1] * 30 + [2] * 60)
    group = np.array(["a"] * 10 + ["b"] * 30 + ["c"] * 60, dtype=object)
    weight = _weights(kind, group)
    assert weight.mean() == pytest.approx(1)
    assert weight[:10].sum() / weight.sum() == pytest.approx(0.4)
    assert weight[10:40].sum() == pytest.approx(weight[40:].sum(), rel=1e-4)
