"""Does the heatmap follow the model? It must change when the model's weights are shuffled.

After Adebayo et al. 2018, "Sanity checks for saliency maps": the layers are randomised one after the other, from the
last to the first, each on top of those before, and the heatmap is compared with the trained model's. A heatmap that
stays the same shows the image's edges, not what the model learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight.errors import UnreadableImageError
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.audits.perturbed_predictions import audited_rows
from lungsight.evaluation.audits.weight_shuffling import ShuffledNetwork
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, UNSTATED, TestSet
from lungsight.inference import Model
from lungsight.package import Network
from lungsight.statistics.bootstrap import (
    Drawn,
    Resampling,
    divided,
    estimate_from,
    leave_out_weights,
    patient_weights,
)
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.map_similarity import rank_correlation, structural_similarity
from lungsight.statistics.outcomes import SHA256, Floats, Floats32, Integers

#: With every layer shuffled, the likeness to the trained model's heatmap must stay below this.
FOLLOWS_BELOW = 0.5
RULE = (
    f"a heatmap that doesn't follow the model is found where, with every layer shuffled, a rank correlation with the "
    f"trained model's heatmap is {FOLLOWS_BELOW:g} or more, and it isn't to be used; not found where both are below "
    f"{FOLLOWS_BELOW:g} with their whole 95% interval"
)
#: What the rule looks at.
SIGNED, ABSOLUTE = "signed_rank_correlation", "absolute_rank_correlation"
_PIXELS_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class _Images:
    """What the networks are shown.

    Attributes:
        testset: the images, n.
        prepared: float32 [n, 1, side, side].
        partner: int [n], for each image one of another patient; the image itself where there is none.
    """

    testset: TestSet
    prepared: Floats32
    partner: Integers

    @property
    def target(self) -> int:
        """Place of the target class."""
        return self.testset.classes.index(self.testset.target)


def saliency_sanity_check(given: AuditInput, *, at_most: int = 24, steps: int = 10, shuffles: int = 5) -> AuditAnswer:
    """Shuffle the network's weights and compare the target's heatmap with the trained network's.

    Ever more layers are shuffled, from the last to the first in ``steps`` steps, ``shuffles`` times over: each tensor
    keeps its values and loses their order. The ``at_most`` images are of one kind, external ones if there are any,
    spread over source and truth. The rows have, for each step:

    - ``signed_rank_correlation``: Spearman's, without its sign, since a shuffled last layer turns for into against by
      lot; ``absolute_rank_correlation``: Spearman's of the maps without their signs; ``ssim``;
    - ``another_patients_signed``, ``another_patients_absolute``: the same between the trained network's heatmap and
      the shuffled network's of another patient's image, which is how alike maps are that share no image;
    - ``pattern``: share of the shuffled maps that aren't the same everywhere; the others are compared with nothing.

    Intervals by resampling patients, and shuffles with them. Raises PackageError.
    """
    network = ShuffledNetwork(given.model.network())
    if not network.layers:
        return unanswered("The network holds no weights that could be shuffled.")
    images = _read(given.model, given.testset, at_most)
    if images is None:
        return unanswered("No image has a label and could be read.")
    depths = np.unique(np.linspace(1, len(network.layers), steps).round()).astype(int).tolist()
    likeness = _likeness(given, network, images, depths, shuffles)
    rows = tuple(
        Row({"layers_shuffled": depth, "layers": len(network.layers), "down_to": network.layers[-depth][0]}, one)
        for depth in depths
        for one in _estimates(images, likeness[depth], given.resampling)
    )
    last = {row.estimate.name: row.estimate for row in rows if row.labels["layers_shuffled"] == depths[-1]}
    return _concluded(len(images.testset), last, rows)


def _read(model: Model, testset: TestSet, at_most: int) -> _Images | None:
    """Images of the first kind that has any, as the network sees them; None if none can be read."""
    for kind in (EXTERNAL, INTERNAL, UNSTATED):
        kept, prepared = [], []
        for row in audited_rows(testset, at_most, among=testset.of_kind(kind)):
            try:
                radiograph = model.read(Path(testset.table["path"].iloc[row]))
            except UnreadableImageError:  # it was readable a moment ago
                continue
            kept.append(row)
            prepared.append(model.prepare_checked(model.check_with_networks(radiograph)))
        if kept:
            shown = testset.where(np.isin(np.arange(len(testset)), kept))
            return _Images(shown, np.stack(prepared), _partners(shown.patient))
    return None


def _partners(patient: Integers) -> Integers:
    """For each image the next one, round and round, that is of another patient."""
    n = len(patient)
    ahead = (np.arange(n)[:, None] + np.arange(1, n + 1)) % n
    return np.asarray(ahead[np.arange(n), (patient[ahead] != patient[:, None]).argmax(axis=1)], dtype=np.int64)


def _evidence(network: Network, images: _Images, at_once: int) -> Floats:
    """float64 [n, h, w]: the target's map against the mean of the others', a few images at a time."""
    few = at_once or max(1, _PIXELS_AT_ONCE // images.prepared[0].size)
    batches = (images.prepared[i : i + few] for i in range(0, len(images.prepared), few))
    maps = np.concatenate([network.run(batch).maps for batch in batches]).astype(np.float64)
    return np.asarray(maps[:, images.target] - np.delete(maps, images.target, axis=1).mean(axis=1))


def _likeness(
    given: AuditInput, network: ShuffledNetwork, images: _Images, depths: list[int], shuffles: int
) -> dict[int, dict[str, Floats]]:
    """By depth and measure, float [n, shuffles]."""
    shown = tuple(images.testset.table[SHA256])
    steps = [(shuffle, depth) for shuffle in range(shuffles) for depth in depths]
    keys = {step: ("shuffled", given.model.model, images.testset.target, shown, *step) for step in steps}
    kept = given.store.get(keys.values())
    whole = (
        _evidence(Network(given.model.network()), images, network.at_once) if len(kept) < len(keys) else np.empty(0)
    )
    for done, (step, key) in enumerate(keys.items()):
        if key not in kept:
            shuffle, depth = step
            shuffled = _evidence(Network(network.shuffled(depth, shuffle)), images, network.at_once)
            kept[key] = _compared(whole, shuffled, images.partner)
            given.store.add({key: kept[key]})
        given.progress("Shuffling weights", done + 1, len(keys))
    return {
        depth: {
            name: np.array([kept[keys[shuffle, depth]][name] for shuffle in range(shuffles)], dtype=np.float64).T
            for name in kept[keys[0, depth]]
        }
        for depth in depths
    }


def _compared(whole: Floats, shuffled: Floats, partner: Integers) -> dict[str, list[float]]:
    signed, absolute = rank_correlation(whole, shuffled), rank_correlation(np.abs(whole), np.abs(shuffled))
    other = shuffled[partner]
    apart = np.where(partner == np.arange(len(partner)), np.nan, 1.0)
    return {
        SIGNED: np.abs(signed).tolist(),
        ABSOLUTE: absolute.tolist(),
        "ssim": structural_similarity(whole, shuffled).tolist(),
        "another_patients_signed": (np.abs(rank_correlation(whole, other)) * apart).tolist(),
        "another_patients_absolute": (rank_correlation(np.abs(whole), np.abs(other)) * apart).tolist(),
        "pattern": np.isfinite(signed).astype(float).tolist(),
    }


def _estimates(images: _Images, measured: Mapping[str, Floats], resampling: Resampling) -> list[Estimate]:
    """The mean of each measure, float [n, shuffles], with an interval from resampling patients and shuffles.

    Each is drawn with replacement (Owen 2007, "The pigeonhole bootstrap").
    """
    sample, shuffles = images.testset.sample, next(iter(measured.values())).shape[1]
    again = Resampling(resampling.replicates, resampling.level, resampling.seed + 1)
    whose = np.concatenate(list(patient_weights(sample.patients, len(sample), resampling)))[:, sample.patient]
    which = np.concatenate(list(patient_weights(shuffles, shuffles, again)))
    without = np.concatenate(list(leave_out_weights(sample.patients, len(sample))))[:, sample.patient]

    def mean(values: Floats, whose: Floats, which: Floats) -> Floats:
        known = np.isfinite(values)
        sums, total = (
            np.einsum("rn,nd,rd->r", whose, v, which, optimize=True)
            for v in (np.where(known, values, 0), known.astype(float))
        )
        return divided(sums, total)

    found = []
    for name, values in measured.items():
        point = mean(values, np.ones((1, len(sample))), np.ones((1, shuffles)))[0]
        left_out = mean(values, without, np.ones((len(without), shuffles)))
        drawn = Drawn(point, mean(values, whose, which), left_out)
        found.append(estimate_from(name, sample, drawn, level=resampling.level))
    return found


def _concluded(n: int, last: Mapping[str, Estimate], rows: tuple[Row, ...]) -> AuditAnswer:
    """By the rule, from the step with every layer shuffled."""
    pattern = last["pattern"].value or 0
    if pattern < 0.5 or last[SIGNED].value is None:
        same = f"With every layer shuffled {1 - pattern:.0%} of the maps are the same everywhere"
        return unanswered(f"{same}: there is nothing to compare.", rows, n)
    effect = max(last[SIGNED], last[ABSOLUTE], key=lambda e: -1 if e.value is None else e.value)
    said = f"rank correlation with the trained model's heatmap is {as_figure(effect)}"
    other = last["another_patients_signed" if effect is last[SIGNED] else "another_patients_absolute"]
    compare = f"maps of different patients' images: {as_figure(other)}"
    result = AuditResult.NOT_SHOWN
    if effect.high is not None and effect.high < FOLLOWS_BELOW:
        result = AuditResult.NOT_FOUND
        meaning = f"The heatmap follows the model: with every layer shuffled its {said} ({compare})."
    elif effect.value is not None and effect.value < FOLLOWS_BELOW:
        meaning = f"Whether the heatmap follows the model can't be said from so few images: its {said} ({compare})."
    else:
        result = AuditResult.FOUND
        meaning = (
            f"FAILED: the heatmap is not shown to follow the model. With every layer shuffled it still looks like "
            f"the trained model's (its {said}; {compare}). Don't use it as an explanation."
        )
    return AuditAnswer(result, meaning, effect, rows, n)


SPEC = AuditSpec(
    "does the heatmap follow the model",
    "Does the heatmap change when the model's weights are shuffled, as it must if it shows what was learned?",
    saliency_sanity_check,
    RULE,
    needs=frozenset({Need.MODEL, Need.MAPS, Need.WEIGHTS}),
    of_heatmap=True,
)
