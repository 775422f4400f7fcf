"""What scanning would refuse, what is unlike anything in training: how many, why, what that does to the figures.

The report's figures are of every image that could be judged, so that a gate can't flatter a model by refusing what it
gets wrong. Here the same figures stand without those images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from lungsight.evaluation.formatting import as_figure, as_words
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.tables import ALL_SOURCES, estimate_table
from lungsight.evaluation.testset.testset import INVERTED, KIND, KINDS, LUNG_FAULTS, REFUSED, UNFAMILIAR, TestSet
from lungsight.statistics.binary import Binary, Share
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.metrics import estimate_all
from lungsight.statistics.outcomes import TRUTH, Mask

NAME = "safeguards"
EVERY_CLASS = "every class"
EVERY_IMAGE, ADMITTED, ADMITTED_AND_FAMILIAR = "every image", "without refused", "without refused and unfamiliar"
_FIGURES = ("auroc", "sensitivity", "specificity")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")

_Row = tuple[dict[str, object], Estimate]


def input_checks(testset: TestSet, resampling: Resampling = Resampling()) -> Section:
    """Tables: ``input_checks``, by source and label the share of images that scanning refuses (``refused``), that
    the gate took for negatives, so that they were judged the other way round (``inverted``), that are unlike anything
    in training (``unfamiliar``), and whose lungs aren't two plausible ones (``without_plausible_lungs``);
    ``refusals``, the reasons by source; ``without_refused``, the target's figures with and without these images.
    Without a table where the package has none of the three."""
    scored = testset.scored
    asked = {name: mask for name, mask in _masks(scored).items() if mask is not None}
    if not asked or not len(scored):
        return Section(NAME, {})
    shares = [row for group in _groups(scored) for row in _shares(*group, scored, asked, resampling)]
    tables = {NAME: estimate_table(shares)}
    sentences = list(_said(shares))
    if REFUSED in scored.table:
        tables["refusals"] = _reasons(scored)
    if "refused" in asked or "unfamiliar" in asked:
        with_and_without = list(_with_and_without(scored, resampling))
        tables["without_refused"] = estimate_table(with_and_without)
        sentences += _compared(with_and_without, scored.target)
    return Section(NAME, tables, tuple(sentences))


def _masks(scored: TestSet) -> dict[str, Mask | None]:
    table = scored.table
    return {
        "refused": (table[REFUSED] != "").to_numpy(dtype=bool) if REFUSED in table else None,
        "inverted": table[INVERTED].to_numpy(dtype=bool) if INVERTED in table else None,
        "unfamiliar": table[UNFAMILIAR].to_numpy(dtype=bool) if UNFAMILIAR in table else None,
        "without_plausible_lungs": (table[LUNG_FAULTS] != "").to_numpy(dtype=bool) if LUNG_FAULTS in table else None,
    }


def _groups(scored: TestSet) -> Iterator[tuple[str, str, Mask]]:
    """Every source, and a kind's sources together where it has several."""
    for kind in KINDS:
        of_kind = (scored.table[KIND] == kind).to_numpy(dtype=bool)
        sources = sorted(set(scored.table["source"][of_kind]))
        if len(sources) > 1:
            yield kind, ALL_SOURCES, of_kind
        for source in sources:
            yield kind, source, of_kind & (scored.table["source"] == source).to_numpy(dtype=bool)


def _shares(
    kind: str, source: str, which: Mask, scored: TestSet, asked: dict[str, Mask], resampling: Resampling
) -> Iterator[_Row]:
    truth, patient = scored.table[TRUTH].to_numpy(dtype=str), scored.patient
    for name in (EVERY_CLASS, *scored.classes, *({scored.denial} & set(truth))):
        among = which if name == EVERY_CLASS else which & (truth == name)
        if not among.any():
            continue
        everything = np.ones(int(among.sum()), dtype=bool)
        sample = Binary.from_arrays(ALL_CLASSES, everything, everything, patient[among])
        wanted = {measure: Share(mask[among], everything, "no images") for measure, mask in asked.items()}
        for estimate in sample.shares(wanted, resampling):
            yield {"kind": kind, "source": source, "truth": name}, estimate


def _reasons(scored: TestSet) -> pd.DataFrame:
    """kind, source, reason, images; an image may have several reasons. Reasons that differ in nothing but their
    numbers count as one."""
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


def _with_and_without(scored: TestSet, resampling: Resampling) -> Iterator[_Row]:
    masks = _masks(scored)
    refused, unfamiliar = (masks[name] for name in ("refused", "unfamiliar"))
    everything = np.ones(len(scored), dtype=bool)
    kept = {EVERY_IMAGE: everything}
    if refused is not None:
        kept[ADMITTED] = ~refused
    if unfamiliar is not None:
        kept[ADMITTED_AND_FAMILIAR] = ~unfamiliar & (everything if refused is None else ~refused)
    for kind, source, which in _groups(scored):
        for name, mask in kept.items():
            if (which & mask).any():
                found = estimate_all(scored.where(which & mask).outcomes, resampling)
                labels: dict[str, object] = {"kind": kind, "source": source, "images": name}
                yield from ((labels, e) for e in found if e.scope == scored.target and e.name in _FIGURES)


def _said(rows: list[_Row]) -> Iterator[str]:
    """Where there are any; the table also says where there are none."""
    words = {
        "refused": "would be refused when scanned; they are judged here all the same",
        "inverted": "were taken for negatives by the gate, and judged the other way round",
        "unfamiliar": "are unlike anything in training, by the features of the network: scanning says inconclusive",
        "without_plausible_lungs": "show no two plausible lung fields",
    }
    for labels, e in rows:
        if labels["truth"] == EVERY_CLASS and labels["source"] != ALL_SOURCES and e.value:
            yield f"{labels['source']} ({labels['kind']}): {e.value:.1%} of {e.n:,} images {words[e.name]}."


def _compared(rows: list[_Row], target: str) -> Iterator[str]:
    """The AUROC with and without, where leaving images out changes who is counted."""
    by_source: dict[tuple[object, object], dict[object, Estimate]] = {}
    for labels, e in rows:
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
