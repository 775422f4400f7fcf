"""Localization: is the evidence for the target in the lungs, in the lesions, or where a guess would put it?

Everything is measured on a grid of fractions of the image's width and height, the same for every image, so that areas
are shares of the image. The network's map is coarse (8 x 8 for 256 pixels): it is laid over the image as a heatmap
shows it, by bilinear interpolation between the middles of its cells. So its highest value lies in the middle of the
strongest cell, and that is the peak; it is no more exact than a cell is wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from lungsight._text import as_words
from lungsight.components.lungs import Box
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.audits.regions import GRID, lesions_on_grid, lungs_on_grid
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import EXTERNAL, KINDS, TestSet
from lungsight.package import Preprocessing
from lungsight.statistics.bootstrap import Resampling, means
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Floats32, Integers, Mask

_WORKING_SIDE = 256
_FOLDS = 5
_SEEN = 0.5


@dataclass(frozen=True, eq=False)
class _Looked:
    """Images with what is known of their lungs or lesions, on the grid of fractions.

    Attributes:
        judged: the images, n.
        evidence: float32 [n, GRID, GRID], for the target against the others; -inf where the network didn't look.
        peak: int [n, 2], row and column on the grid of the strongest cell's middle; -1 where that lies outside.
        region: bool [n, GRID, GRID], the lungs or the lesions; never empty.
    """

    testset: TestSet
    evidence: Floats32
    peak: Integers
    region: Mask

    def __len__(self) -> int:
        return len(self.testset)

    @cached_property
    def area(self) -> Floats:
        """The share of the image that the region covers, float [n]."""
        return np.asarray(self.region.mean(axis=(1, 2)))

    @cached_property
    def view(self) -> Mask:
        """What the network saw of the image, bool [n, GRID, GRID]."""
        return np.asarray(np.isfinite(self.evidence))

    @cached_property
    def area_in_view(self) -> Floats:
        """The share that the region covers of what the network saw, float [n]: chance, for a map that lies there."""
        return np.asarray((self.region & self.view).mean(axis=(1, 2)) / self.view.mean(axis=(1, 2)))

    @cached_property
    def cropped(self) -> bool:
        """Whether the network saw the box around the lungs only."""
        return any(lungs is not None and lungs.crop is not None for lungs in self.testset.lungs)

    @cached_property
    def guess(self) -> Floats:
        """For each image the average region of the patients of other folds, float [n, GRID, GRID].

        A little smoothed, so that its highest place isn't an accident; NaN if there are none.
        """
        patients, patient = np.unique(self.testset.patient, return_inverse=True)
        fold = np.random.default_rng(0).permutation(len(patients))[patient] % _FOLDS
        averages = np.full((len(self), GRID, GRID), np.nan)
        for f in np.unique(fold):
            others = self.region[fold != f]
            if len(others):
                averages[fold == f] = cv2.GaussianBlur(others.mean(axis=0), (0, 0), GRID / 64)
        return averages


def localization(given: AuditInput) -> AuditAnswer:
    """Compare each image's evidence with its lungs and with its lesions.

    Lungs: column ``lung_mask``, or else those that a network found, if they are two plausible ones; every image.
    Lesions: column ``lesion_mask``, or else ``boxes``; images truly of the target class. As many of each in each
    source as may be altered. Heat is the evidence for the target (what speaks against it is left out).

    The rows have, for each source and for ``region`` lungs or lesions, means over images:

    - ``has_heat``: share of the images with any heat; the others are excluded from the next seven;
    - ``heat_inside``: share of the heat inside; ``area``: share of the image that the region covers, which is what
      heat spread evenly would give; ``heat_inside_minus_area``; ``area_in_view`` and
      ``heat_inside_minus_area_in_view``: the same of the part of the image that the network saw, since a network that
      sees only the box around the lungs has its heat there whatever it learned; ``guess_heat_inside`` and
      ``heat_inside_minus_guess``: against a map that doesn't look at the image, the average region of other patients;

    for lesions also

    - ``pointing_game``: the strongest place lies inside (Zhang et al. 2018); ``pointing_at_centre``: the middle of
      the image does; ``pointing_at_fixed_place``: the place does that lies inside the lesions of other patients most
      often; and the differences to these two and to the area, which is what a place by lot would hit;
    - ``dice``, ``iou``: overlap with the strongest part of the map, as large as the lesions; ``chance_dice``: of as
      large a part by lot (equal to the area), ``guess_dice``: of the average lesions of other patients, and the
      differences.

    The guesses come from five folds by patient, never from the patient they are held against.
    """
    testset = given.testset
    if testset.maps is None:
        return unanswered("There are predictions only: without the model there are no heatmaps.")
    preprocessing = given.model.preprocessing
    groups = [
        (kind, source, name, looked)
        for kind, source, part in testset.by_source()
        for name, wanted in (("lungs", _lung_rows(part)), ("lesions", _lesion_rows(part)))
        if len(looked := _look(part, _some(wanted, given.images), name, preprocessing))
    ]
    if not groups:
        return unanswered(_why_not(testset))
    rows = tuple(row for group in groups for row in _figures(*group, given.resampling))
    effect, meaning = _conclusion(groups, given.resampling)
    images = sum(len(looked) for *_, looked in groups)
    if any(name == "lungs" for _, _, name, _ in groups):
        meaning += f" {_whose_lungs([looked.testset for _, _, name, looked in groups if name == 'lungs'])}"
    return AuditAnswer(AuditResult.REPORTED, meaning, effect, rows, images)


def _whose_lungs(groups: list[TestSet]) -> str:
    masks = sum(int((testset.table["lung_mask"] != "").sum()) for testset in groups)
    found = sum(len(testset) for testset in groups) - masks
    return f"Lung segmentation: {masks:,} from the manifest's masks, {found:,} found by a network."


def _why_not(testset: TestSet) -> str:
    if testset.maps is None or not np.isfinite(testset.maps).all(axis=(1, 2, 3)).any():
        return "No image has a heatmap of numbers."
    return "No image has a known lung segmentation, and none of the target class has lesions marked."


def _lung_rows(part: TestSet) -> Integers:
    masked = (part.table["lung_mask"] != "").to_numpy()
    found = [lungs is not None and lungs.plausible for lungs in part.found]
    return np.flatnonzero(masked | np.array(found, dtype=bool))


def _lesion_rows(part: TestSet) -> Integers:
    marked = (part.table["lesion_mask"] != "") | (part.table["boxes"] != "")
    return np.flatnonzero(marked.to_numpy() & part.positive)


def _some(rows: Integers, at_most: int) -> Integers:
    return np.sort(np.random.default_rng(0).permutation(rows)[:at_most])


def _look(part: TestSet, rows: Integers, name: str, preprocessing: Preprocessing) -> _Looked:
    """The images of ``rows`` whose map is of numbers and whose region can be read."""
    find = lungs_on_grid if name == "lungs" else lesions_on_grid
    maps = part.maps
    assert maps is not None  # asked before
    target = part.classes.index(part.target)
    files = part.table[["lung_mask", "lesion_mask", "boxes"]].assign(found=part.found).to_dict("records")
    usable = [row for row in rows if np.isfinite(maps[row]).all() and _shape(part, row) is not None]
    with ThreadPoolExecutor(2) as readers:
        found = dict(zip(usable, readers.map(lambda row: find(files[row]), usable), strict=True))
    kept = [row for row in usable if found[row] is not None]
    evidence = np.full((len(kept), GRID, GRID), -np.inf, dtype=np.float32)
    peaks = np.full((len(kept), 2), -1, dtype=np.int64)
    regions = np.zeros((len(kept), GRID, GRID), dtype=bool)
    for i, row in enumerate(kept):
        against = maps[row, target] - np.delete(maps[row], target, axis=0).mean(axis=0)
        shape, crop = _shape(part, row) or (1, 1), part.crop_of(row)
        regions[i], evidence[i] = found[row], _on_grid(against, shape, preprocessing, crop)
        peaks[i] = _peak(against, shape, preprocessing, crop)
    return _Looked(part.where(np.isin(np.arange(len(part)), kept)), evidence, peaks, regions)


def _shape(part: TestSet, row: int) -> tuple[int, int] | None:
    """Of the image, reduced: what counts is how height and width compare."""
    height, width = part.headers[["height", "width"]].to_numpy(dtype=np.float64)[row]
    if not (np.isfinite(height) and np.isfinite(width)):
        return None
    scale = _WORKING_SIDE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _on_grid(
    network_map: Floats32, shape: tuple[int, int], preprocessing: Preprocessing, crop: Box | None = None
) -> Floats32:
    """float32 [GRID, GRID]; -inf where the network saw nothing of the image."""
    drawn = preprocessing.restore(np.ascontiguousarray(network_map, dtype=np.float32), *shape, crop)
    seen = preprocessing.restore(np.ones_like(network_map, dtype=np.float32), *shape, crop)
    size = (GRID, GRID)
    laid = cv2.resize(drawn, size, interpolation=cv2.INTER_LINEAR)
    inside = cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR) > _SEEN
    return np.where(inside, laid, -np.inf).astype(np.float32)


def _peak(
    network_map: Floats32, shape: tuple[int, int], preprocessing: Preprocessing, crop: Box | None = None
) -> tuple[int, int]:
    """The middle of the strongest cell (the first of equals) on the grid; (-1, -1) where it lies beside the image."""
    rows, columns = network_map.shape
    row, column = np.unravel_index(int(network_map.argmax()), network_map.shape)
    region = preprocessing.region(*shape, crop)
    y = region.top + (row + 0.5) / rows * (region.bottom - region.top)
    x = region.left + (column + 0.5) / columns * (region.right - region.left)
    if not (0 <= y < shape[0] and 0 <= x < shape[1]):
        return -1, -1
    return int(y / shape[0] * GRID), int(x / shape[1] * GRID)


def _figures(kind: str, source: str, name: str, looked: _Looked, resampling: Resampling) -> Iterator[Row]:
    measured = _heat(looked) | (_pointing(looked) | _overlap(looked) if name == "lesions" else {})
    for estimate in _estimates(looked, measured, resampling).values():
        yield Row({"kind": kind, "source": source, "region": name}, estimate)


def _estimates(looked: _Looked, measured: dict[str, Floats], resampling: Resampling) -> dict[str, Estimate]:
    """Of values float [n] by name: those that are 0 or 1 throughout are shares."""
    found = {}
    for metric, values in measured.items():
        known = values[np.isfinite(values)]
        shares = bool(np.isin(known, (0, 1)).all()) and "minus" not in metric
        sample = looked.testset.sample
        (found[metric],) = means(sample, values[:, None], (metric,), shares=shares, resampling=resampling)
    return found


def _heat(looked: _Looked) -> dict[str, Floats]:
    heat = np.maximum(looked.evidence, 0).astype(np.float64)
    inside = _share_inside(heat, looked.region)
    has_heat = np.isfinite(inside)
    area = np.where(has_heat, looked.area, np.nan)
    guess = np.where(has_heat, _share_inside(looked.guess, looked.region), np.nan)
    return {
        "has_heat": has_heat.astype(np.float64),
        "heat_inside": inside,
        "area": area,
        "heat_inside_minus_area": inside - area,
        "area_in_view": np.where(has_heat, looked.area_in_view, np.nan),
        "heat_inside_minus_area_in_view": inside - looked.area_in_view,
        "guess_heat_inside": guess,
        "heat_inside_minus_guess": inside - guess,
    }


def _pointing(looked: _Looked) -> dict[str, Floats]:
    each = np.arange(len(looked))
    row, column = looked.peak.T
    hit = np.where(row >= 0, looked.region[each, row, column], False).astype(np.float64)
    centre = looked.region[:, GRID // 2 - 1 : GRID // 2 + 1, GRID // 2 - 1 : GRID // 2 + 1].mean(axis=(1, 2)) >= 0.5
    others = looked.guess
    best = others.reshape(len(looked), -1).argmax(axis=1)
    fixed = np.where(
        np.isfinite(others[:, 0, 0]), looked.region.reshape(len(looked), -1)[each, best].astype(np.float64), np.nan
    )
    return {
        "pointing_game": hit,
        "pointing_at_centre": centre.astype(np.float64),
        "pointing_at_fixed_place": fixed,
        "pointing_minus_area": hit - looked.area,
        "pointing_minus_area_in_view": hit - looked.area_in_view,
        "pointing_minus_centre": hit - centre,
        "pointing_minus_fixed_place": hit - fixed,
    }


def _overlap(looked: _Looked) -> dict[str, Floats]:
    dice = _dice(looked.evidence, looked.region)
    guess = _dice(looked.guess, looked.region)
    area = looked.area
    return {
        "dice": dice,
        "iou": dice / (2 - dice),
        "chance_dice": area,
        "guess_dice": guess,
        "dice_minus_chance": dice - area,
        "dice_minus_guess": dice - guess,
    }


def _share_inside(heat: Floats, region: Mask) -> Floats:
    """The share of each map's sum that lies inside, float [n]; NaN where the map holds nothing."""
    total = heat.sum(axis=(1, 2))
    inside = (heat * region).sum(axis=(1, 2))
    return np.asarray(np.divide(inside, total, out=np.full(len(heat), np.nan), where=total > 0))


def _dice(maps: np.ndarray, region: Mask) -> Floats:
    """Overlap of each region with the map's strongest part of the same area, float [n].

    Dice is then the share of either inside the other; NaN without a map.
    """
    n = len(maps)
    place = np.argsort(-maps.reshape(n, -1), axis=1, kind="stable")
    ranked = np.take_along_axis(region.reshape(n, -1), place, axis=1)
    size = region.sum(axis=(1, 2))
    hits = np.cumsum(ranked, axis=1)[np.arange(n), size - 1]
    return np.where(np.isnan(maps[:, 0, 0]), np.nan, hits / size)


def _conclusion(groups: list[tuple[str, str, str, _Looked]], resampling: Resampling) -> tuple[Estimate | None, str]:
    """The effect and its sentences: of the largest group, an external one before an internal one.

    The effect is the heat in the lungs minus their area; in the lesions if no lungs are known.
    """
    order = {kind: (kind != EXTERNAL, place) for place, kind in enumerate(KINDS)}
    chosen = [min((g for g in groups if g[2] == name), key=lambda g: (order[g[0]], -len(g[3])), default=None)
              for name in ("lungs", "lesions")]  # fmt: skip
    sentences, effects = [], []
    for group in chosen:
        if group is not None:
            kind, source, name, looked = group
            measured = _heat(looked) | (_pointing(looked) if name == "lesions" else {})
            found = _estimates(looked, measured, resampling)
            gap = found["heat_inside_minus_area_in_view" if looked.cropped else "heat_inside_minus_area"]
            effects.append(gap)
            sentences.append(_sentence(kind, source, name, found, gap, as_words(looked.testset.target)))
    return effects[0], " ".join(sentences)


def _sentence(kind: str, source: str, name: str, found: dict[str, Estimate], gap: Estimate, words: str) -> str:
    in_view = gap.name.endswith("in_view")
    seen = f" and {_percent(found['area_in_view'])} of what the network sees of it" if in_view else ""
    first = (
        f"At {source} ({kind}), {_percent(found['heat_inside'])} of the evidence for {words} is in the {name}, "
        f"which cover {_percent(found['area'])} of the image{seen}: {_against(gap)} (difference {as_figure(gap)})."
    )
    if name == "lungs":
        return first
    return first + (
        f" The strongest place is in a lesion in {_percent(found['pointing_game'])} of the images; one fixed "
        f"place, chosen on other patients, is in {_percent(found['pointing_at_fixed_place'])}."
    )


def _percent(estimate: Estimate) -> str:
    return "an unknown share" if estimate.value is None else f"{estimate.value:.0%}"


def _against(gap: Estimate) -> str:
    if gap.low is None or gap.high is None:
        return "whether more or less than by chance can't be said"
    if gap.low > 0:
        return "more than by chance"
    return "less than by chance" if gap.high < 0 else "no more than by chance"


SPEC = AuditSpec(
    "where it looks",
    "Is the evidence for the target in the lungs, and in the lesions where these are known?",
    localization,
    needs=frozenset({Need.MODEL, Need.MAPS, Need.LUNGS, Need.MASKS}),
    of_heatmap=True,
)
