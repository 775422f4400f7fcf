"""The numbered sections of the evidence page: what each asks, shows in plots, and lists in tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lungsight._text import as_words, listed
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import withheld_because
from lungsight.evaluation.rows import Row
from lungsight.evaluation.sections.decision import COSTS
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.sections.subgroups import WITHIN_SOURCES
from lungsight.evaluation.testset.testset import ALL_SOURCES
from lungsight.reporting import plots
from lungsight.reporting.evidence_text import figures_in_words, picked_points
from lungsight.reporting.html import embedded
from lungsight.reporting.page_tables import PageTable, any_rows, as_it_is, by_metric, titled
from lungsight.reporting.tables import plain, records
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.metrics import names

#: What is shown of a section's tables, by their names.
Shown = dict[str, Iterable[PageTable | None]]

_RANKING = ("auroc", "auroc_delong", "average_precision")
_OF_CALLS = (*names("calling"), "ppv_at_prevalence", "npv_at_prevalence")
_OF_SUBGROUPS = ("auroc", "sensitivity", "specificity")
#: Labels of these tables that only the CSV file has.
_HIDDEN = ("figure", "fixed", "at", "threshold", "crude", "rest_n", "rest_patients", "rule")
#: Rows of the table of counts, at most.
_COUNTS = 100
_IN_WORDS = ("ece", "calibration_intercept", "calibration_slope")
_OVERALL = names("overall")
_CALIBRATION = ("calibration_intercept", "calibration_slope", "ece", "ece_if_calibrated")
_BRIER = ("brier_score", "brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bins")
#: What becomes of 1,000 patients, in the order of the bar, with its words and colour.
_FATES = {
    "true_positives": ("have it, predicted", "#0072B2"),
    "inconclusive_positives": ("have it, inconclusive", "#7f8a99"),
    "false_negatives": ("have it, missed", "#D55E00"),
    "false_positives": ("don't have it, predicted", "#E69F00"),
    "inconclusive_negatives": ("don't have it, inconclusive", "#c3c9d1"),
    "true_negatives": ("don't have it, ruled out", "#A6CEE3"),
}


@dataclass(frozen=True)
class Picture:
    """A plot as a ``data:`` address, the words for what it shows, and the CSV file with its figures."""

    address: str
    width: int
    alt: str
    caption: str
    stem: str

    @classmethod
    def of(cls, figure: Figure, caption: str, figures: str, stem: str) -> Picture:
        """A figure as the page holds it; ``figures`` are its main values in words."""
        rendered = plots.render(figure)
        address = embedded(rendered.content, rendered.kind)
        return cls(address, rendered.width, f"{caption} {figures}", caption, stem)


@dataclass(frozen=True)
class Matrix:
    """A source's confusion matrix: counts[truth][prediction]."""

    kind: str
    source: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        """How many images it counts."""
        return sum(map(sum, self.counts))


@dataclass(frozen=True)
class PatientOutcome:
    """What becomes of some of 1,000 patients: its words and colour, where it starts on the bar, and how many."""

    words: str
    colour: str
    start: float
    estimate: Estimate

    @property
    def has_it(self) -> bool:
        """Whether these patients have the disease."""
        return self.words.startswith("have")


@dataclass(frozen=True)
class PerThousand:
    """What becomes of 1,000 patients like a source's."""

    kind: str
    source: str
    prevalence: float
    prevalence_is: str
    fates: tuple[PatientOutcome, ...]
    withheld: str = ""

    @property
    def images(self) -> list[int]:
        """How many images the figures are shares of."""
        return list(dict.fromkeys(fate.estimate.n for fate in self.fates))


@dataclass(frozen=True, eq=False)
class PageSection:
    """One numbered section of the page."""

    title: str
    asks: str
    section: Section
    tables: tuple[PageTable, ...] = ()
    pictures: tuple[Picture, ...] = ()
    flow: Sequence[Mapping[str, Any]] = ()
    matrices: tuple[Matrix, ...] = ()
    thousands: tuple[PerThousand, ...] = ()

    @property
    def anchor(self) -> str:
        """Of its heading."""
        return self.title.lower()

    @property
    def is_empty(self) -> bool:
        """Whether it has no figure at all."""
        return not any(self.section.estimates.values()) and not any(map(len, self.section.tables.values()))


def sections_of(evidence: Evidence) -> Iterator[PageSection]:
    """The five sections in the order of the page."""
    target, classes = evidence.subject.target, evidence.subject.classes
    words, flow = as_words(target), evidence.flow
    yield PageSection(
        "Flow",
        "Which images came in, which were left out, and why?",
        flow,
        _tables(flow, target, _flow_tables(flow)),
        flow=records(flow.tables["flow"]) if "flow" in flow.tables else (),
    )
    found = evidence.discrimination
    yield PageSection(
        "Discrimination",
        f"How well does the model tell {words} from the rest?",
        found,
        _tables(found, target, _discrimination_tables(found, target, classes)),
        tuple(_discrimination_pictures(found, target, classes)),
        matrices=tuple(_matrices(found, classes)),
    )
    found = evidence.calibration
    yield PageSection(
        "Calibration",
        "Can the probabilities be taken literally: of the images given 80%, do 80 of 100 show it?",
        found,
        _tables(found, target, _calibration_tables(found, target)),
        tuple(_calibration_pictures(found, target)),
    )
    found = evidence.decision
    yield PageSection(
        "Decision",
        "What follows for patients when the thresholds are used?",
        found,
        _tables(found, target, _decision_tables(found)),
        tuple(_decision_pictures(found)),
        thousands=tuple(_thousands(_rows(found, "per_1000"))),
    )
    found = evidence.subgroups
    asks = "Does the model do worse for some patients than for others?"
    yield PageSection("Subgroups", asks, found, _tables(found, target, _subgroup_tables(found, target)))


def _rows(section: Section, name: str) -> tuple[Row, ...]:
    return section.estimates.get(name, ())


def _curves(section: Section, name: str) -> pd.DataFrame | None:
    """The table without the rows of several sources together; None where it is absent or empty."""
    table = section.tables.get(name)
    kept = None if table is None or not len(table) else table[table["source"] != ALL_SOURCES]
    return kept if kept is not None and len(kept) else None


def _tables(section: Section, target: str, shown: Shown) -> tuple[PageTable, ...]:
    """What is shown of a section's tables: ``shown`` if it names the table, otherwise all, row by row."""
    found: list[PageTable | None] = []
    for stem in dict.fromkeys((*section.estimates, *section.tables)):
        if stem in shown:
            found += shown[stem]
        elif stem in section.estimates:
            found.append(any_rows(section.estimates[stem], stem, titled(stem), target))
        else:
            found.append(as_it_is(section.tables[stem], stem, titled(stem)))
    return tuple(one for one in found if one is not None)


def _flow_tables(flow: Section) -> Shown:
    """The steps are drawn, and single images are named in their CSV file only."""
    shown: Shown = {"overlap": (), "flow": ()}
    counts = flow.tables.get("counts")
    if counts is not None and len(counts):
        by = ["kind", "property", "value"]
        named = counts.assign(**{"class": counts["class"].map(as_words)})
        wide = named.pivot_table(index=by, columns="class", values="images", sort=False, fill_value=0)
        patients = counts.groupby(by, sort=False)["patients"].max()
        table = wide.astype(int).assign(patients=patients).reset_index()
        shown["counts"] = [as_it_is(table, "counts", "Images by class, and patients", at_most=_COUNTS)]
    return shown


def _discrimination_tables(section: Section, target: str, classes: tuple[str, ...]) -> Shown:
    """Metrics by the question they answer; curves and confusion matrices are drawn."""
    words, metrics, pairs = as_words(target), _rows(section, "metrics"), ("auroc", "auroc_within_site")
    predicted = f"{words} predicted if it is the most probable class"
    of_metrics = [
        by_metric(metrics, "metrics", f"How well the model ranks {words} above the rest", target, _RANKING, _RANKING),
        by_metric(metrics, "metrics", predicted, target, _OF_CALLS, _OF_CALLS[:2]),
        by_metric(metrics, "metrics", "All classes together", ALL_CLASSES, _OVERALL, _OVERALL),
    ]
    for name in classes if len(classes) > 2 else ():
        if name != target:
            figures = ("auroc", *_OF_CALLS[:4])
            of_metrics.append(
                by_metric(metrics, "metrics", f"{as_words(name)} against the rest", name, figures, ("auroc",))
            )
    points = _rows(section, "operating_points")
    held = tuple(dict.fromkeys(row.estimate.name for row in points if row.estimate.scope == target))
    caption = f"{words} against one other class, and within the sites that hold both"
    return {
        "metrics": of_metrics,
        "operating_points": [
            by_metric(
                points, "operating_points", f"{words}: one figure held, the other given", target, held, hidden=_HIDDEN
            )
        ],
        "one_against_one": [
            by_metric(_rows(section, "one_against_one"), "one_against_one", caption, target, pairs, pairs)
        ],
        **dict.fromkeys(("roc", "precision_recall", "confusion"), ()),
    }


def _calibration_tables(section: Section, target: str) -> Shown:
    rows, against = _rows(section, "calibration"), f"{as_words(target)} against the rest"
    return {
        "calibration": [
            by_metric(rows, "calibration", f"Calibration, {against}", target, _CALIBRATION, _CALIBRATION),
            by_metric(rows, "calibration", f"Brier score and its parts, {against}", target, _BRIER),
            by_metric(rows, "calibration", "The most probable class", ALL_CLASSES, _CALIBRATION, _CALIBRATION),
        ],
        "reliability": (),
    }


def _decision_tables(section: Section) -> Shown:
    """A table for each rule and class; the curves and the 1,000 patients are drawn."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in _rows(section, "decision"):
        groups.setdefault((str(row.labels["rule"]), row.estimate.scope), []).append(row)
    shown: Shown = dict.fromkeys(("risk_coverage", "decision_curve", "per_1000", COSTS), ())
    tables = []
    for (rule, scope), rows in groups.items():
        names = tuple(dict.fromkeys(row.estimate.name for row in rows))
        caption = f"By {rule}: {as_words(scope)}"
        tables.append(by_metric(rows, "decision", caption, scope, names, names[:2], hidden=_HIDDEN))
    return shown | {"decision": tables}


def _subgroup_tables(section: Section, target: str) -> Shown:
    """Averages over sources where there are several: a subgroup must not be a source in disguise."""
    shown: Shown = {}
    for stem, caption in (("subgroups", "Each subgroup by itself"), ("gaps", "Each subgroup less the rest")):
        rows = _rows(section, stem)
        averaged = {row.labels["kind"] for row in rows if row.labels["source"] == WITHIN_SOURCES}
        kept = [
            row
            for row in rows
            if row.labels["kind"] not in averaged
            or row.labels["source"] == WITHIN_SOURCES
            or row.labels["property"] == "source"
        ]
        caption, gaps = f"{caption}, {as_words(target)} against the rest", stem == "gaps"
        table = by_metric(kept, stem, caption, target, _OF_SUBGROUPS, _OF_SUBGROUPS, differences=gaps, hidden=_HIDDEN)
        shown[stem] = [table]
    return shown


def _discrimination_pictures(section: Section, target: str, classes: tuple[str, ...]) -> Iterator[Picture]:
    """Of two classes one curve mirrors the other, so that one is enough."""
    drawn = (target, *(name for name in classes if name != target and len(classes) > 2))
    metrics, words = _rows(section, "metrics"), as_words(target)
    band = f"Band: 95% percentile interval of {words}."
    roc = _curves(section, "roc")
    if roc is not None:
        caption = f"ROC curves by source. {band} A curve along the diagonal is no better than chance."
        figures = figures_in_words(metrics, ["auroc"], target)
        yield Picture.of(plots.roc_figure(roc, drawn), caption, figures, "roc")
    curve = _curves(section, "precision_recall")
    if curve is not None:
        caption = (
            f"Precision-recall curves by source. {band} Precision depends on how common a class is in the source."
        )
        figures = figures_in_words(metrics, ["average_precision"], target)
        yield Picture.of(plots.precision_recall_figure(curve, drawn), caption, figures, "precision_recall")


def _matrices(section: Section, classes: tuple[str, ...]) -> Iterator[Matrix]:
    table = _curves(section, "confusion")
    for (kind, source), rows in table.groupby(["kind", "source"], sort=False) if table is not None else ():
        found = rows.set_index(["truth", "predicted"])["images"]
        counts = tuple(tuple(int(found.loc[t, p]) for p in classes) for t in classes)
        yield Matrix(str(kind), str(source), classes, counts)


def _calibration_pictures(section: Section, target: str) -> Iterator[Picture]:
    """Without sources of one class: their every dot is at 0, or every one at 1, whatever the model does."""
    bins = _curves(section, "reliability")
    shown = None if bins is None else bins[bins["scope"] == target]
    if shown is None or not len(shown):
        return
    shown = shown[shown["binning"] == shown["binning"].iloc[0]]
    lowest, highest = (shown.groupby("source")["observed"].transform(end) for end in ("min", "max"))
    of_one_class = (lowest == 1) | (highest == 0)
    left_out, shown = shown["source"][of_one_class].unique(), shown[~of_one_class]
    if len(shown):
        caption = f"Reliability by source: how often {as_words(target)} was true, by the probability it was given."
        caption += f" Not drawn, since of one class only: {listed(left_out)}." if len(left_out) else ""
        figures = figures_in_words(_rows(section, "calibration"), _IN_WORDS, target)
        yield Picture.of(plots.reliability_figure(shown), caption, figures, "reliability")


def _decision_pictures(section: Section) -> Iterator[Picture]:
    curve = _curves(section, "risk_coverage")
    if curve is not None:
        caption = "Risk by coverage, by source: how many decisions are wrong if only the surest are given."
        points = " ".join(picked_points(curve, "coverage", "risk", (0.5, 1.0), ("coverage", "risk")))
        yield Picture.of(plots.risk_coverage_figure(curve), caption, points, "risk_coverage")
    limits = _costs(_rows(section, COSTS))
    if len(limits):
        caption = (
            "What other limits on inconclusive images would cost, by source: missed images and false alarms among "
        )
        caption += "those that get an answer, by the share that gets none."
        points = " ".join(picked_points(limits, "inconclusive", "missed", (0.0, 0.15), ("inconclusive", "missed")))
        yield Picture.of(plots.costs_figure(limits), caption, points, COSTS)
    curves = _curves(section, "decision_curve")
    for origin, rows in curves.groupby("prevalence_is", sort=False) if curves is not None else ():
        caption = (
            f"Decision curves by source, at the prevalence {origin}: net benefit of acting on the model, on "
            "everyone, on no one. The model helps where its line is above the two others."
        )
        names = ("threshold", "net benefit")
        points = " ".join(picked_points(rows, "threshold", "net_benefit", (0.1, 0.5), names))
        yield Picture.of(plots.decision_curve_figure(rows), caption, points, "decision_curve")


def _costs(rows: Iterable[Row]) -> pd.DataFrame:
    """A row per source and limit: the share left inconclusive, and both kinds of error among the rest."""
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        key = tuple(row.labels[name] for name in ("kind", "source", "most_inconclusive"))
        value = row.estimate.value
        found.setdefault(key, {})[row.estimate.name] = float("nan") if value is None else value
    table = [
        {
            "kind": kind,
            "source": source,
            "inconclusive": each["inconclusive"],
            "missed": 1 - each["sensitivity_of_decided"],
            "false_alarms": 1 - each["specificity_of_decided"],
        }
        for (kind, source, _), each in found.items()
    ]
    return pd.DataFrame(table)


def _thousands(rows: Iterable[Row]) -> Iterator[PerThousand]:
    groups: dict[tuple[Any, ...], dict[str, Estimate]] = {}
    for row in rows:
        key = tuple(plain(row.labels[name]) for name in ("kind", "source", "prevalence", "prevalence_is"))
        groups.setdefault(key, {})[row.estimate.name] = row.estimate
    for (kind, source, prevalence, origin), found in groups.items():
        fates, start = [], 0.0
        for metric, (words, colour) in _FATES.items():
            value = found[metric].value if metric in found else None
            if value is not None:
                fates.append(PatientOutcome(words, colour, round(start, 2), found[metric]))
                start += value
        reasons = dict.fromkeys(withheld_because(e) for e in found.values() if e.value is None and e.withheld)
        yield PerThousand(kind, source, prevalence, origin, tuple(fates), "; ".join(reasons))
