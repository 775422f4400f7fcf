"""Where the gate draws its two lines: on real radiographs of sources that the heads in question never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.networks.gate_network import GateHeads
from lungsight.training.gate.examples import Examples
from lungsight.training.gate.heads import fit_heads, said
from lungsight.training.gate.recipe import GateRecipe

#: What is more probably a frontal radiograph than all else together is never refused by its probability.
_LOWEST, _HIGHEST = 0.05, 0.5


@dataclass(frozen=True)
class Thresholds:
    """``least_probability`` of a frontal radiograph, ``greatest_distance`` from real ones."""

    least_probability: float
    greatest_distance: float


#: Of n films, the probability that each is a frontal radiograph and its distance from real ones, each [n].
Answers = tuple[NDArray[np.float64], NDArray[np.float64]]


def choose_thresholds(
    recipe: GateRecipe, examples: Examples, seed: int, say: Callable[[str], None] = lambda _: None
) -> Thresholds:
    """Leave each source out in turn, with all that was broken out of its films, and ask heads trained on the others
    about its real radiographs as they are. Each line is drawn where it would refuse ``refused_of_real`` of them,
    every source as heavy as any other. Where there is one source only, on its validation patients."""
    if len(examples.sources) < 2:
        asked = examples.where(examples.real & examples.first & examples.held)
        return thresholds_of(recipe, [answers_of(fit_heads(recipe, examples, seed), asked)])
    heads = heads_without_each_source(recipe, examples, seed)
    return thresholds_of(recipe, list(answers_elsewhere(heads, examples, say).values()))


def heads_without_each_source(recipe: GateRecipe, examples: Examples, seed: int) -> dict[str, GateHeads]:
    """By source, heads that learned from nothing of it."""
    return {source: fit_heads(recipe, examples.where(examples.source != source), seed) for source in examples.sources}


def answers_elsewhere(
    heads: Mapping[str, GateHeads], examples: Examples, say: Callable[[str], None] = lambda _: None
) -> dict[str, Answers]:
    """By source, what the heads that never saw it say of its real radiographs as they are."""
    answers = {}
    for source, without in heads.items():
        chosen = (examples.source == source) & examples.real & examples.first
        probability, distance = answers[source] = answers_of(without, examples.where(chosen))
        say(
            f"without {source}: 1st percentile of its probability {np.quantile(probability, 0.01):.3f}, "
            f"99th of its distance {np.quantile(distance, 0.99):.3f} (n = {len(probability)})"
        )
    return answers


def answers_of(heads: GateHeads, asked: Examples) -> Answers:
    output = said(heads, asked)
    return output.kinds.softmax(dim=1)[:, 0].double().numpy(), output.distance.double().numpy()


def thresholds_of(recipe: GateRecipe, answers: Sequence[Answers]) -> Thresholds:
    """The lines, by the answers of each source: each source as heavy as any other."""
    weights = np.concatenate([np.full(len(p), 1 / len(p)) for p, _ in answers])
    probability = np.concatenate([p for p, _ in answers])
    distance = np.concatenate([d for _, d in answers])
    least = weighted_quantile(probability, weights, recipe.refused_of_real)
    greatest = weighted_quantile(distance, weights, 1 - recipe.refused_of_real)
    return Thresholds(float(np.clip(least, _LOWEST, _HIGHEST)), greatest)


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """The smallest of ``values`` below or at which at least ``share`` of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share - 1e-12)), len(values) - 1)])
