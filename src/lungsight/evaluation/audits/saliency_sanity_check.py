"""Does the heatmap follow the model? It must change when the model's weights are shuffled.

After Adebayo et al. 2018, "Sanity checks for saliency maps": the layers are randomised one after the other, from the
last to the first, each on top of those before, and the heatmap is compared with the trained model's. A heatmap that
stays the same shows the image's edges, not what the model learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight.errors import UnreadableImageError
from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.audits.perturbed_predictions import audited_rows
from lungsight.evaluation.audits.weight_shuffling import ShuffledNetwork
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, UNSTATED, TestSet
from lungsight.package import ModelPackage, Network
from lungsight.package.storage import NETWORK
from lungsight.statistics.bootstrap import Resampling, patient_weights, percentile_interval
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.map_similarity import rank_correlation, structural_similarity
from lungsight.statistics.outcomes import SHA256, Floats, Floats32, Integers

NAME = "does the heatmap follow the model"
QUESTION = "Does the heatmap change when the model's weights are shuffled, as it must if it shows what was learned?"
#: With every layer shuffled, the likeness to the trained model's heatmap must stay below this.
FOLLOWS_BELOW = 0.5
RULE = (
    f"the heatmap follows the model where, with every layer shuffled, both rank correlations with the trained "
    f"model's heatmap stay below {FOLLOWS_BELOW:g} with their whole 95% interval; from {FOLLOWS_BELOW:g} on it "
    f"fails, and isn't to be used"
)
#: What the rule looks at.
SIGNED, ABSOLUTE = "signed_rank_correlation", "absolute_rank_correlation"
_PIXELS_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class _Images:
    """What the networks are shown.

    Attributes:
        judged: the images, n.
        prepared: float32 [n, 1, side, side].
        partner: int [n], for each image one of another patient; the image itself where there is none.
    """

    testset: TestSet
    prepared: Floats32
    partner: Integers

    @property
    def target(self) -> int:
        return self.testset.classes.index(self.testset.target)


def saliency_sanity_check(
    package: ModelPackage,
    testset: TestSet,
    *,
    at_most: int = 24,
    steps: int = 10,
    shuffles: int = 5,
    cache: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
    resampling: Resampling = Resampling(),
) -> Audit:
    """Shuffle the weights of the package's network, ever more layers from the last to the first in ``steps`` steps,
    ``shuffles`` times over, and compare the target's heatmap with the trained network's on ``at_most`` images.

    Shuffling keeps each tensor's values and loses their order. The images are of one kind, external ones where there
    are any, spread over source and truth. The table has, for each step:

    - ``signed_rank_correlation``: Spearman's, without its sign, since a shuffled last layer turns for into against by
      lot; ``absolute_rank_correlation``: Spearman's of the maps without their signs; ``ssim``;
    - ``another_patients_signed``, ``another_patients_absolute``: the same between the trained network's heatmap and
      the shuffled network's of another patient's image, which is how alike maps are that share no image;
    - ``pattern``: share of the shuffled maps that aren't the same everywhere; the others are compared with nothing.

    Intervals by resampling patients, and shuffles with them. ``cache`` keeps each step; ``progress`` is told after
    each of the ``shuffles`` times ``steps`` networks. Raises InvalidPackage.
    """
    content = package.read(NETWORK)
    network = ShuffledNetwork(content)
    if not network.layers:
        return not_done(NAME, QUESTION, "The network holds no weights that could be shuffled.", RULE)
    images = _read(package, testset, at_most)
    if images is None:
        return not_done(NAME, QUESTION, "There is no image with a truth that could be read.", RULE)
    depths = np.unique(np.linspace(1, len(network.layers), steps).round()).astype(int).tolist()
    likeness = _likeness(package, network, images, depths, shuffles, cache, progress)
    rows = [
        ({"layers_shuffled": depth, "layers": len(network.layers), "down_to": network.layers[-depth][0]}, estimate)
        for depth in depths
        for estimate in _estimates(images, likeness[depth], resampling)
    ]
    return _concluded(images, {e.name: e for labels, e in rows if labels["layers_shuffled"] == depths[-1]}, rows)


def _read(package: ModelPackage, testset: TestSet, at_most: int) -> _Images | None:
    """Images of the first kind that has any, as the network sees them; None where none can be read."""
    for kind in (EXTERNAL, INTERNAL, UNSTATED):
        rows = audited_rows(testset, at_most, among=(testset.table[KIND] == kind).to_numpy())
        kept, prepared = [], []
        for row in rows:
            try:
                pixels = package.description.preprocessing.read(testset.table["path"].iloc[row]).pixels
            except UnreadableImageError:  # it was readable a moment ago
                continue
            kept.append(row)
            shown_as = np.asarray(1 - pixels, dtype=np.float32) if testset.was_inverted(row) else pixels
            prepared.append(package.description.preprocessing.apply(shown_as, testset.crop_of(row))[None])
        if kept:
            shown = testset.where(np.isin(np.arange(len(testset)), kept))
            return _Images(shown, np.stack(prepared), _partners(shown.patient))
    return None


def _partners(patient: Integers) -> Integers:
    """For each image the next one, round and round, that is of another patient."""
    n = len(patient)
    ahead = (np.arange(n)[:, None] + np.arange(1, n + 1)) % n
    return np.asarray(ahead[np.arange(n), (patient[ahead] != patient[:, None]).argmax(axis=1)], dtype=np.int64)


def _evidence(network: Network, images: _Images) -> Floats:
    """float64 [n, h, w]: the target's map against the mean of the others', a few images at a time."""
    few = max(1, _PIXELS_AT_ONCE // images.prepared[0].size)
    batches = (images.prepared[i : i + few] for i in range(0, len(images.prepared), few))
    maps = np.concatenate([network.run(batch).maps for batch in batches]).astype(np.float64)
    return np.asarray(maps[:, images.target] - np.delete(maps, images.target, axis=1).mean(axis=1))


def _likeness(
    package: ModelPackage,
    network: ShuffledNetwork,
    images: _Images,
    depths: list[int],
    shuffles: int,
    cache: Path | None,
    progress: Callable[[int], None],
) -> dict[int, dict[str, Floats]]:
    """By depth and measure, float [n, shuffles]."""
    opening: list[object] = [package.id, images.testset.target, images.testset.table[SHA256].tolist()]
    kept = dict(_kept(cache, opening))
    whole = _evidence(package.network(), images) if len(kept) < len(depths) * shuffles else np.empty(0)
    for shuffle in range(shuffles):
        for depth in depths:
            if (shuffle, depth) not in kept:
                shuffled = _evidence(Network(network.shuffled(depth, shuffle)), images)
                kept[shuffle, depth] = _compared(whole, shuffled, images.partner)
                _keep(cache, [opening, shuffle, depth, kept[shuffle, depth]])
            progress(1)
    return {
        depth: {
            name: np.array([kept[shuffle, depth][name] for shuffle in range(shuffles)], dtype=np.float64).T
            for name in kept[0, depth]
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


def _kept(cache: Path | None, opening: list[object]) -> Iterator[tuple[tuple[int, int], dict[str, list[float]]]]:
    """The steps in ``cache`` of this model, target and images; a line cut short by a kill is passed over."""
    for line in cache.read_text("utf-8").splitlines() if cache and cache.is_file() else ():
        try:
            stated, shuffle, depth, likeness = json.loads(line)
        except ValueError:
            continue
        if stated == opening:
            yield (shuffle, depth), likeness


def _keep(cache: Path | None, line: list[object]) -> None:
    if cache:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with cache.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(line) + "\n")  # a line before may have been cut short


def _estimates(images: _Images, measured: Mapping[str, Floats], resampling: Resampling) -> list[Estimate]:
    """The mean of each measure, float [n, shuffles], with an interval from resampling patients and shuffles, each
    drawn with replacement (Owen 2007, "The pigeonhole bootstrap")."""
    patients, patient = np.unique(images.testset.patient, return_inverse=True)
    shuffles = next(iter(measured.values())).shape[1]
    whose = np.concatenate(list(patient_weights(len(patients), len(patient), resampling)))[:, patient]
    again = Resampling(resampling.replicates, resampling.level, resampling.seed + 1)
    which = np.concatenate(list(patient_weights(shuffles, shuffles, again)))
    positives = int(images.testset.positive.sum())
    counts = (len(patient), positives, len(patient) - positives, len(patients))
    found = []
    for name, values in measured.items():
        known = np.isfinite(values)
        sums, total = (
            np.einsum("rn,nd,rd->r", whose, v, which, optimize=True)
            for v in (np.where(known, values, 0), known.astype(float))
        )
        replicates = np.divide(sums, total, out=np.full(len(sums), np.nan), where=total > 0)
        bounds = percentile_interval(replicates, resampling.level) if len(patients) > 1 else None
        alone = "one patient only" if len(patients) < 2 else "every resample gives the same figure"
        note = None if bounds else f"no interval: {alone}"
        value = float(values[known].mean()) if known.any() else None
        note = note if value is not None else "no map to compare"
        low, high = bounds if bounds and value is not None else (None, None)
        method = "percentile" if low is not None else ""
        found.append(Estimate(name, images.testset.target, value, low, high, *counts, method, note))  # type: ignore[arg-type]
    return found


def _concluded(
    images: _Images, last: Mapping[str, Estimate], rows: list[tuple[dict[str, object], Estimate]]
) -> Audit:
    """By the rule, from the step with every layer shuffled."""
    n, table = len(images.testset), estimate_table(rows)
    pattern = last["pattern"].value or 0
    if pattern < 0.5 or last[SIGNED].value is None:
        reason = (
            f"With every layer shuffled {1 - pattern:.0%} of the maps are the same everywhere: there is nothing to "
            f"compare."
        )
        return Audit(NAME, QUESTION, AuditResult.NOT_DONE, reason, table=table, images=n, rule=RULE)
    effect = max(last[SIGNED], last[ABSOLUTE], key=lambda e: -1 if e.value is None else e.value)
    said = f"rank correlation with the trained model's heatmap is {as_figure(effect)}"
    other = last["another_patients_signed" if effect is last[SIGNED] else "another_patients_absolute"]
    compare = f"maps of different patients' images: {as_figure(other)}"
    if effect.high is not None and effect.high < FOLLOWS_BELOW:
        meaning = f"The heatmap follows the model: with every layer shuffled its {said} ({compare})."
        return Audit(NAME, QUESTION, AuditResult.CLEAR, meaning, effect, table, n, RULE)
    if effect.value is not None and effect.value < FOLLOWS_BELOW:
        meaning = f"Whether the heatmap follows the model can't be said from so few images: its {said} ({compare})."
        return Audit(NAME, QUESTION, AuditResult.REPORTED, meaning, effect, table, n, RULE)
    meaning = (
        f"FAILED: the heatmap is not shown to follow the model. With every layer shuffled it still looks like the "
        f"trained model's (its {said}; {compare}). Don't use it as an explanation."
    )
    return Audit(NAME, QUESTION, AuditResult.REPORTED, meaning, effect, table, n, RULE)
