"""Readers beside the model, from this room's own reads: agreement, and both against a reference where there is one.

Only blind reads count: whoever has seen the answer agrees with it more often. It needs the extra ``report``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from lungsight._text import as_words, counted
from lungsight.inference.finding import INCONCLUSIVE, REFUSED
from lungsight.room.reads import Category
from lungsight.statistics.bootstrap import Exact, Sample, divided, estimate
from lungsight.statistics.estimate import Estimate

Mask = NDArray[np.bool_]

#: Blind reads of each side before a reference is worth a figure.
ENOUGH = 30
_READER, _MODEL, _BOTH = "reader", "model", "both"


@dataclass(frozen=True, eq=False)
class _Reads:
    """Blind reads as arrays: what the reader called typical, what the model called the target."""

    patient: NDArray[np.int64]
    reader: Mask
    model: Mask
    answered: Mask
    reference: Mask
    known: Mask


def agreement(rows: Sequence[Row[Any]], total: int, target: str) -> dict[str, Any]:
    """The agreement of blind reads with the model, and both with the reference; every figure with its interval.

    Args:
        rows: the blind read of each image.
        total: how many images were read, blind or not.
        target: the model's target class.
    """
    analysed = [row for row in rows if row.status == "read"]
    table = Counter((row.category, row.decision) for row in analysed)
    figures = list(_figures(_arrays(analysed, target), target)) if analysed else []
    return {
        "reads": total,
        "blind": len(rows),
        "sentence": _sentence(len(rows), len(analysed), target),
        "table": [{"category": c, "decision": d, "n": n} for (c, d), n in sorted(table.items())],
        "figures": figures,
        "lacking": _lacking(_arrays(analysed, target)) if analysed else "No image was read blind.",
    }


def _sentence(blind: int, analysed: int, target: str) -> str:
    return (
        f"{counted(blind, 'image')} read blind, {analysed:,} of them analysed by the model. A reader's "
        f"'{Category.TYPICAL}' is set against the model's '{as_words(target)}'; images on which the model is "
        "inconclusive don't count in figures of both."
    )


def _arrays(rows: Sequence[Row[Any]], target: str) -> _Reads:
    patients = {row.patient or f"image {row.image}": number for number, row in enumerate(rows)}
    decisions = np.array([row.decision for row in rows], dtype=object)
    labels = [row.label for row in rows]
    return _Reads(
        patient=np.array([patients[row.patient or f"image {row.image}"] for row in rows], dtype=np.int64),
        reader=np.array([row.category == Category.TYPICAL for row in rows], dtype=bool),
        model=np.asarray(decisions == target, dtype=bool),
        answered=np.asarray(~np.isin(decisions.astype(str), (INCONCLUSIVE, REFUSED)), dtype=bool),
        reference=np.array([label == target for label in labels], dtype=bool),
        known=np.array([label is not None for label in labels], dtype=bool),
    )


def _figures(reads: _Reads, target: str) -> Iterator[dict[str, Any]]:
    both = reads.answered
    yield _share("agreement", "Agreement of reader and model", _BOTH, reads, reads.reader == reads.model, both)
    yield _json("Cohen's kappa of reader and model", _BOTH, _kappa(reads))
    for whose, called in ((_READER, reads.reader), (_MODEL, reads.model)):
        counts = reads.known if whose == _READER else reads.known & reads.answered
        positive, negative = counts & reads.reference, counts & ~reads.reference
        title = f"of {as_words(target)} by the reference"
        yield _share("sensitivity", f"Sensitivity {title}", whose, reads, called, positive)
        yield _share("specificity", f"Specificity {title}", whose, reads, ~called, negative)


def _share(name: str, title: str, whose: str, reads: _Reads, hit: Mask, among: Mask) -> dict[str, Any]:
    sample = Sample(reads.patient[among])
    found = estimate(name, sample, _mean(hit[among]), exact=Exact.SHARE)
    return _json(title, whose, found)


def _mean(hit: Mask) -> Any:
    values = hit.astype(np.float64)
    return lambda weights: divided(weights @ values, weights.sum(axis=1))


def _kappa(reads: _Reads) -> Estimate:
    """Cohen 1960, Educ Psychol Meas 20:37."""
    among = reads.answered
    reader, model = (mask[among].astype(np.float64) for mask in (reads.reader, reads.model))
    agrees = (reader == model).astype(np.float64)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total = weights.sum(axis=1)
        of_reader, of_model = divided(weights @ reader, total), divided(weights @ model, total)
        by_chance = of_reader * of_model + (1 - of_reader) * (1 - of_model)
        return divided(divided(weights @ agrees, total) - by_chance, 1 - by_chance)

    return estimate("kappa", Sample(reads.patient[among]), statistic)


def _json(title: str, whose: str, found: Estimate) -> dict[str, Any]:
    figure = {"name": found.name, "title": title, "whose": whose, "value": found.value, "low": found.low}
    return figure | {"high": found.high, "n": found.n, "patients": found.patients, "withheld": found.withheld}


def _lacking(reads: _Reads) -> str | None:
    """What stands in the way of an evidence report of this room's own."""
    positive, negative = int((reads.known & reads.reference).sum()), int((reads.known & ~reads.reference).sum())
    if positive >= ENOUGH and negative >= ENOUGH:
        return None
    return (
        f"{positive} blind reads have a reference that says yes, and {negative} one that says no. From {ENOUGH} "
        "of each, "
        "`lungsight evaluate` on the exported manifest gives this room's own evidence report."
    )
