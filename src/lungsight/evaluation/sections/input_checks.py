"""Input checks: which images scanning would refuse or warn of, why, and what that does to the figures.

The report's figures are of every image with a prediction, so that a gate can't flatter a model by refusing what it
gets wrong. Here the same figures stand without those images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from lungsight._text import as_words
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import (
    ALL_SOURCES,
    INVERTED,
    KIND,
    LUNG_FAULTS,
    REFUSED,
    UNFAMILIAR,
    TestSet,
)
from lungsight.statistics.bootstrap import Resampling, Sample, Share, shares
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import estimate_all
from lungsight.statistics.outcomes import TRUTH, Mask

NAME = "safeguards"
EVERY_CLASS = "every class"
EVERY_IMAGE, ADMITTED, ADMITTED_AND_FAMILIAR = "every image", "without refused", "without refused and unfamiliar"
_FIGURES = ("auroc", "sensitivity", "specificity")
#: The test set's column behind each check.
_COLUMNS = {
    "refused": REFUSED,
    "inverted": INVERTED,
    "unfamiliar": UNFAMILIAR,
    "without_plausible_lungs": LUNG_FAULTS,
}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


def input_checks(testset: TestSet, resampling: Resampling = Resampling()) -> Section:
    """What the gate, the out-of-distribution detector and the lung segmentation find in the test images.

    Tables: ``safeguards``, by source and class the share of images that scanning refuses (``refused``), that the gate
    took for negatives and inverted (``inverted``), that are unlike anything in training (``unfamiliar``), and whose
    lungs aren't two plausible ones (``without_plausible_lungs``); ``refusals``, the reasons by source;
    ``without_refused``, the target's figures with and without these images. No table if the package has none of the
    three components.
    """
    scored = testset.scored
    checks = _checks(scored)
    if not checks or not len(scored):
        return Section(NAME, {})
    counted = tuple(row for group in scored.groups() for row in _shares(*group, resampling))
    tables: dict[str, pd.DataFrame | tuple[Row, ...]] = {NAME: counted}
    sentences = list(_share_sentences(counted))
    if REFUSED in scored.table:
        tables["refusals"] = _reasons(scored)
    if "refused" in checks or "unfamiliar" in checks:
        compared = tuple(row for group in scored.groups() for row in _with_and_without(*group, resampling))
        tables["without_refused"] = compared
        sentences += _comparison_sentences(compared, scored.target)
    return Section(NAME, tables, tuple(sentences))


def _checks(images: TestSet) -> dict[str, Mask]:
    """Of each check that was made, bool [n]: the images it finds."""
    table = images.table
    return {
        name: (table[column] != "" if column in (REFUSED, LUNG_FAULTS) else table[column]).to_numpy(dtype=bool)
        for name, column in _COLUMNS.items()
        if column in table
    }


def _shares(kind: str, source: str, images: TestSet, resampling: Resampling) -> Iterator[Row]:
    truth, checks = images.table[TRUTH].to_numpy(dtype=str), _checks(images)
    for name in (EVERY_CLASS, *images.classes, images.denial):
        of_class = np.ones(len(images), dtype=bool) if name == EVERY_CLASS else truth == name
        if of_class.any():
            sample = Sample(images.patient[of_class])
            wanted = {check: Share(mask[of_class], sample.positive, "no images") for check, mask in checks.items()}
            labels = {"kind": kind, "source": source, "truth": name}
            yield from (Row(labels, e) for e in shares(sample, wanted, resampling))


def _reasons(scored: TestSet) -> pd.DataFrame:
    """How many images of each kind and source have each reason; an image may have several.

    Reasons that differ in nothing but their numbers count as one.
    """
    rows = [
        (kind, source, reason)
        for kind, source, text in scored.table[[KIND, "source", REFUSED]].itertuples(index=False)
        for reason in dict.fromkeys(_without_numbers(text))
    ]
    table = pd.DataFrame(rows, columns=[KIND, "source", "reason"])
    counted = table.groupby([KIND, "source", "reason"], sort=True).size().rename("images").reset_index()
    return counted.sort_values("images", ascending=False, kind="stable", ignore_index=True)


def _without_numbers(sentences: str) -> list[str]:
    """A gate's sentences, each without its numbers."""
    parts = re.split(r"(?<=\.)\s+(?=[A-Z])", sentences)
    return [_NUMBER.sub("…", part) for part in parts if part]


def _with_and_without(kind: str, source: str, images: TestSet, resampling: Resampling) -> Iterator[Row]:
    """The target's figures of every image, of those not refused, and of those not unfamiliar either."""
    checks, no = _checks(images), np.zeros(len(images), dtype=bool)
    refused, unfamiliar = checks.get("refused", no), checks.get("unfamiliar", no)
    kept = {EVERY_IMAGE: ~no}
    kept |= {ADMITTED: ~refused} if "refused" in checks else {}
    kept |= {ADMITTED_AND_FAMILIAR: ~unfamiliar & ~refused} if "unfamiliar" in checks else {}
    for name, mask in kept.items():
        if mask.any():
            found = estimate_all(images.where(mask).outcomes, resampling)
            labels = {"kind": kind, "source": source, "images": name}
            yield from (Row(labels, e) for e in found if e.scope == images.target and e.name in _FIGURES)


def _share_sentences(rows: Iterable[Row]) -> Iterator[str]:
    """Where there are any; the table also shows where there are none."""
    words = {
        "refused": "would be refused when scanned; they are analysed here all the same",
        "inverted": "were taken for negatives by the gate, and inverted before analysis",
        "unfamiliar": "are unlike the training images, by the features of the network: scanning warns of it",
        "without_plausible_lungs": "show no two plausible lungs",
    }
    for labels, e in ((row.labels, row.estimate) for row in rows):
        if labels["truth"] == EVERY_CLASS and labels["source"] != ALL_SOURCES and e.value:
            yield f"{labels['source']} ({labels['kind']}): {e.value:.1%} of {e.n:,} images {words[e.name]}."


def _comparison_sentences(rows: Iterable[Row], target: str) -> Iterator[str]:
    """The AUROC with and without, where leaving images out changes who is counted."""
    by_source: dict[tuple[Label, Label], dict[Label, Estimate]] = {}
    for labels, e in ((row.labels, row.estimate) for row in rows):
        if e.name == "auroc" and e.value is not None:
            by_source.setdefault((labels["source"], labels["kind"]), {})[labels["images"]] = e
    for (source, kind), found in by_source.items():
        whole = found.get(EVERY_IMAGE)
        for name in (ADMITTED, ADMITTED_AND_FAMILIAR):
            part = found.get(name)
            if whole and part and part.positives + part.negatives < whole.positives + whole.negatives:
                yield (
                    f"{source} ({kind}): the AUROC of {as_words(target)} is {as_figure(whole)} of {EVERY_IMAGE} and "
                    f"{as_figure(part)} {name}."
                )
