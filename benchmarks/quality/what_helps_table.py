"""The figures of `what_helps.py`, with intervals by patient.

python benchmarks/quality/what_helps_table.py --work FOLDER --parts LUNG_FIELDS --out docs/results/what_helps.csv
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from scipy.special import softmax

from lungsight.components.lungs import crop_of
from lungsight.datasets.manifest import Manifest
from lungsight.statistics.bootstrap import Resampling, Sample, means
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.ranking import auroc, auroc_within, ranking_estimate
from lungsight.training.image_cache import LungCache
from lungsight.training.recipe import Recipe, load_recipe
from what_helps import PLAIN, VARIANTS

_RESAMPLING = Resampling(replicates=1000)
_SIDE, _FINE = 64, 4096
_COVID, _NORMAL = "covid19", "no_pneumonia"
_OTHER = ("other_pneumonia", "tuberculosis")
_COLUMNS = ["variant", "held_out", "images_of", "metric", "value", "low", "high", "n", "positives", "patients"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one variant, trained without one source, says of images it never saw."""

    table: pd.DataFrame
    probabilities: NDArray[np.float64]
    flipped_too: NDArray[np.float64]
    evidence: NDArray[np.float64]
    recipe: Recipe

    def of(self, rows: NDArray[np.bool_]) -> Predictions:
        kept = (self.probabilities[rows], self.flipped_too[rows], self.evidence[rows])
        return Predictions(self.table[rows], *kept, self.recipe)


def main(
    work: Annotated[Path, typer.Option(help="The folder of what_helps.py.")],
    cache: Annotated[Path, typer.Option(help="The folder for decoded images that what_helps.py had.")],
    parts: Annotated[Path, typer.Option(help="The folder of the lung fields that what_helps.py had.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
) -> None:
    """Write one row a figure."""
    manifest = Manifest.read(work / "manifest.csv").table.set_index("path", drop=False)
    lungs = LungCache.at(parts, cache)
    rows = []
    for name in VARIANTS:
        for place in sorted(work.glob(f"{name} without *.npz")):
            held_out = place.stem.rpartition(" without ")[2]
            answers = _answers(place, name, manifest)
            for images_of, estimate in _figures(answers, held_out, lungs):
                labels = {"variant": name, "held_out": held_out, "images_of": images_of, "metric": estimate.name}
                rows.append(asdict(estimate) | labels)
            print(name, held_out, flush=True)
    table = pd.DataFrame(rows)[_COLUMNS]
    table[["value", "low", "high"]] = table[["value", "low", "high"]].round(4)
    table.to_csv(out, index=False)
    print(f"{len(table)} figures in {out}")


def _answers(place: Path, name: str, manifest: pd.DataFrame) -> Predictions:
    stored = np.load(place)
    logits, maps = stored["logits"].astype(np.float64), stored["maps"].astype(np.float64)
    return Predictions(
        manifest.loc[stored["paths"]],
        softmax(logits[:, 0], axis=1),
        softmax(logits.mean(axis=1), axis=1),
        maps[:, 0] - maps[:, 1:].mean(axis=1),
        load_recipe("released", (*PLAIN, *VARIANTS[name])),
    )


def _figures(answers: Predictions, held_out: str, lungs: LungCache) -> Iterator[tuple[str, Estimate]]:
    for source in sorted(answers.table["source"].unique()):
        part = answers.of((answers.table["source"] == source).to_numpy())
        words = f"{source}, {'held out' if source == held_out else 'trained on, other patients'}"
        yield from ((words, estimate) for estimate in _of_source(part, source))
    if held_out == "siim":
        part = answers.of((answers.table["source"] == "siim").to_numpy() & (answers.table["boxes"] != "").to_numpy())
        yield from (("siim, held out", estimate) for estimate in _pointing(part, lungs))


def _of_source(part: Predictions, source: str) -> Iterator[Estimate]:
    against = (_NORMAL,) if source == "siim" else _OTHER
    if source in ("siim", "ieee8023"):
        yield _auroc(part, (_COVID,), against, part.probabilities[:, 0], f"auroc covid19 against {against[0]}")
        yield _auroc(part, (_COVID,), against, part.flipped_too[:, 0], f"auroc covid19 against {against[0]}, flips")
    if source == "ieee8023":
        yield _within_sites(part)
    else:
        healthy = 1 - part.probabilities[:, 2]
        yield _auroc(part, (_COVID, *_OTHER), (_NORMAL,), healthy, "auroc abnormal against normal")


def _auroc(
    part: Predictions, positive: tuple[str, ...], negative: tuple[str, ...], score: NDArray[np.float64], name: str
) -> Estimate:
    labels = part.table["label"]
    rows = labels.isin((*positive, *negative)).to_numpy()
    sample = Sample(_patients(part.table)[rows], labels.isin(positive).to_numpy()[rows], _COVID)
    return ranking_estimate(name, sample, auroc(score[rows], sample.positive), resampling=_RESAMPLING)


def _within_sites(part: Predictions) -> Estimate:
    """COVID-19 against other pneumonia, compared within the same web site or hospital only."""
    rows = part.table["label"].isin((_COVID, *_OTHER)).to_numpy() & (part.table["site"] != "").to_numpy()
    table = part.table[rows]
    sample = Sample(_patients(table), (table["label"] == _COVID).to_numpy(), _COVID)
    score, site = part.probabilities[rows, 0], table["site"].to_numpy(dtype=str)
    name = "auroc covid19 against other_pneumonia, within sites"
    return auroc_within(name, sample, score, site, resampling=_RESAMPLING)


def _pointing(part: Predictions, lungs: LungCache) -> Iterator[Estimate]:
    rows = (part.table["label"] == _COVID).to_numpy()
    part = part.of(rows)
    hits, inside = zip(
        *(
            _hit_and_share(evidence, path, boxes, part.recipe, lungs)
            for evidence, path, boxes in zip(part.evidence, part.table["path"], part.table["boxes"], strict=True)
        ),
        strict=True,
    )
    sample = Sample(_patients(part.table), scope=_COVID)
    values = np.column_stack([hits, inside]).astype(np.float64)
    yield from means(sample, values[:, :1], ("pointing game",), shares=True, resampling=_RESAMPLING)
    yield from means(sample, values[:, 1:], ("heat inside boxes",), resampling=_RESAMPLING)


def _hit_and_share(
    evidence: NDArray[np.float64], path: str, boxes: str, recipe: Recipe, lungs: LungCache
) -> tuple[float, float]:
    preprocessing = recipe.preprocessing
    box = crop_of(lungs.load(path)) if preprocessing.needs_lungs else None
    region = preprocessing.region(_FINE, _FINE, box)
    inside = np.zeros((_SIDE, _SIDE), dtype=bool)
    for left, top, right, bottom in json.loads(boxes):
        inside[round(top * _SIDE) : round(bottom * _SIDE), round(left * _SIDE) : round(right * _SIDE)] = True
    row, column = np.unravel_index(int(evidence.argmax()), evidence.shape)
    y = (region.top + (row + 0.5) / evidence.shape[0] * (region.bottom - region.top)) / _FINE
    x = (region.left + (column + 0.5) / evidence.shape[1] * (region.right - region.left)) / _FINE
    drawn = preprocessing.restore(np.maximum(evidence, 0).astype(np.float32), 512, 512, box)
    heat = cv2.resize(drawn, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    total = float(heat.sum())
    return float(inside[int(y * _SIDE), int(x * _SIDE)]), float((heat * inside).sum()) / total if total else np.nan


def _patients(table: pd.DataFrame) -> NDArray[np.int64]:
    return np.asarray(pd.factorize(table["source"] + "/" + table["patient"])[0], dtype=np.int64)


if __name__ == "__main__":
    typer.run(main)
