"""The gate's two thresholds, chosen on real radiographs of sources that the heads weren't trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.networks.gate_network import GateHeads
from lungsight.training.gate.examples import Examples
from lungsight.training.gate.heads import fit_heads, predict
from lungsight.training.gate.recipe import GateRecipe

#: An image that is more probably frontal than all else together is never refused by its probability.
_LOWEST, _HIGHEST = 0.05, 0.5


@dataclass(frozen=True)
class Thresholds:
    """``least_probability`` of a frontal radiograph, ``greatest_distance`` from real ones."""

    least_probability: float
    greatest_distance: float


#: Of n images, the probability that each is a frontal radiograph and its distance from real ones, each [n].
Predictions = tuple[NDArray[np.float64], NDArray[np.float64]]


def choose_thresholds(
    recipe: GateRecipe, examples: Examples, seed: int, log: Callable[[str], None] = lambda _: None
) -> Thresholds:
    """Leave each source out in turn, and choose thresholds on predictions of heads trained on the others.

    With a source go all out-of-distribution images made from its images. Predictions are those for its real
    radiographs as they are. Each threshold refuses ``refused_of_real`` of them, all sources with the same weight. If
    there is one source only, predictions are those for its validation patients.
    """
    if len(examples.sources) < 2:
        real = examples.where(examples.real & examples.first & examples.validation)
        return thresholds_of(recipe, [predictions_of(fit_heads(recipe, examples, seed), real)])
    heads = {
        source: fit_heads(recipe, examples.where(examples.source != source), seed) for source in examples.sources
    }
    return thresholds_of(recipe, list(predictions_elsewhere(heads, examples, log).values()))


def predictions_elsewhere(
    heads: Mapping[str, GateHeads], examples: Examples, log: Callable[[str], None] = lambda _: None
) -> dict[str, Predictions]:
    """By source, predictions for its real radiographs as they are, by heads that weren't trained on it."""
    predictions = {}
    for source, without in heads.items():
        chosen = (examples.source == source) & examples.real & examples.first
        probability, distance = predictions[source] = predictions_of(without, examples.where(chosen))
        log(
            f"without {source}: 1st percentile of its probability {np.quantile(probability, 0.01):.3f}, "
            f"99th of its distance {np.quantile(distance, 0.99):.3f} (n = {len(probability)})"
        )
    return predictions


def predictions_of(heads: GateHeads, examples: Examples) -> Predictions:
    """Probability and distance of each example."""
    output = predict(heads, examples)
    return output.kinds.softmax(dim=1)[:, 0].double().numpy(), output.distance.double().numpy()


def thresholds_of(recipe: GateRecipe, predictions: Sequence[Predictions]) -> Thresholds:
    """The thresholds, from the predictions for each source; all sources have the same weight."""
    weights = np.concatenate([np.full(len(p), 1 / len(p)) for p, _ in predictions])
    probability = np.concatenate([p for p, _ in predictions])
    distance = np.concatenate([d for _, d in predictions])
    least = weighted_quantile(probability, weights, recipe.refused_of_real)
    greatest = weighted_quantile(distance, weights, 1 - recipe.refused_of_real)
    return Thresholds(float(np.clip(least, _LOWEST, _HIGHEST)), greatest)


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """The smallest of ``values`` that at least ``share`` of the weight doesn't exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share - 1e-12)), len(values) - 1)])
