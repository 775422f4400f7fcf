"""The numbered parts of the evidence page: what each asks, shows in pictures, and lists in tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_words
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.sections.subgroups import WITHIN_SOURCES
from lungsight.evaluation.tables import ALL_SOURCES
from lungsight.reporting import plots as figures
from lungsight.reporting.evidence_json import plain, records
from lungsight.reporting.evidence_tables import PageTable, any_table, as_it_is, by_metric, by_row, titled
from lungsight.reporting.evidence_text import figures_in_words, picked_points
from lungsight.reporting.html import embedded
from lungsight.statistics.estimate import ALL_CLASSES

Tables = Mapping[str, pd.DataFrame]

_RANKING = ("auroc", "auroc_delong", "average_precision")
_CALLING = ("sensitivity", "specificity", "ppv", "npv", "ppv_at_prevalence", "npv_at_prevalence", "f1")
_OF_SUBGROUPS = ("auroc", "sensitivity", "specificity")
#: Rows of the table of counts, at most.
_COUNTS = 100
_IN_WORDS = ("ece", "calibration_intercept", "calibration_slope")
_OVERALL = ("accuracy", "balanced_accuracy", "mcc")
#: What becomes of 1,000 patients, in the order of the bar, with its words and colour.
_FATES = {
    "true_positives": ("have it, called", "#0072B2"),
    "inconclusive_positives": ("have it, inconclusive", "#7f8a99"),
    "false_negatives": ("have it, missed", "#D55E00"),
    "false_positives": ("don't have it, called", "#E69F00"),
    "inconclusive_negatives": ("don't have it, inconclusive", "#c3c9d1"),
    "true_negatives": ("don't have it, cleared", "#A6CEE3"),
}


@dataclass(frozen=True)
class Picture:
    """A picture as a ``data:`` address, the words that say what it shows, and the CSV file with its figures."""

    address: str
    width: int
    alt: str
    caption: str
    stem: str

    @classmethod
    def of(cls, figure: Figure, caption: str, said: str, stem: str) -> Picture:
        """``said`` are its main figures in words."""
        rendered = figures.render(figure)
        return cls(embedded(rendered.content, rendered.kind), rendered.width, f"{caption} {said}", caption, stem)


@dataclass(frozen=True)
class Matrix:
    """A source's confusion matrix: counts[truth][called]."""

    kind: str
    source: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        return sum(map(sum, self.counts))


@dataclass(frozen=True)
class PatientOutcome:
    """What becomes of some of 1,000 patients: its words and colour, where it starts on the bar, and the estimate."""

    words: str
    colour: str
    start: float
    row: Mapping[str, Any]

    @property
    def has_it(self) -> bool:
        return self.words.startswith("have")


@dataclass(frozen=True)
class PerThousand:
    """What becomes of 1,000 patients like a source's."""

    kind: str
    source: str
    prevalence: float | None
    prevalence_is: str
    fates: tuple[PatientOutcome, ...]
    withheld: str = ""

    @property
    def images(self) -> list[int]:
        """How many images the figures are shares of."""
        return list(dict.fromkeys(fate.row["n"] for fate in self.fates))


@dataclass(frozen=True, eq=False)
class PageSection:
    """One numbered part of the page."""

    title: str
    asks: str
    section: Section
    pictures: tuple[Picture, ...] = ()
    tables: tuple[PageTable, ...] = ()
    flow: tuple[Mapping[str, Any], ...] = ()
    matrices: tuple[Matrix, ...] = ()
    thousands: tuple[PerThousand, ...] = ()

    @property
    def anchor(self) -> str:
        return self.title.lower()

    @property
    def files(self) -> list[str]:
        """Stems of the CSV files with all its figures."""
        return [name for name, table in self.section.tables.items() if len(table.columns)]


def parts_of(evidence: Evidence) -> Iterator[PageSection]:
    """The five parts with a section each, in the order of the page."""
    target, classes = evidence.subject.target, evidence.subject.classes
    words = as_words(target)
    flow = evidence.flow
    steps = with_columns(flow.tables, "flow", "step", "left_out", "remain")
    yield PageSection(
        "Flow",
        "Which images came in, which were left out, and why?",
        flow,
        tables=_tables(flow, target, _flow_tables(flow.tables)),
        flow=tuple(records(steps)) if steps is not None else (),
    )
    tables = evidence.discrimination.tables
    yield PageSection(
        "Discrimination",
        f"How well does the model tell {words} from the rest?",
        evidence.discrimination,
        tuple(_discrimination_pictures(tables, target, classes)),
        _tables(
            evidence.discrimination,
            target,
            {
                "metrics": _metric_tables(tables, target, classes),
                "operating_points": _operating_points(tables, target),
                "one_against_one": _one_against_one(tables, target),
                "roc": (),
                "precision_recall": (),
                "confusion": (),
            },
        ),
        matrices=tuple(_matrices(tables, classes)),
    )
    calibration = evidence.calibration
    tables = calibration.tables
    yield PageSection(
        "Calibration",
        "May the probabilities be taken at their word: of the images given 80%, do 80 of 100 show it?",
        calibration,
        tuple(_calibration_pictures(tables, target)),
        _tables(calibration, target, {"calibration": _calibration_tables(tables, target), "reliability": ()}),
    )
    tables = evidence.decision.tables
    yield PageSection(
        "Decision",
        "What follows for patients when its thresholds are used?",
        evidence.decision,
        tuple(_decision_pictures(tables)),
        _tables(
            evidence.decision,
            target,
            {"decision": _decision_tables(tables, target), "risk_coverage": (), "decision_curve": (), "per_1000": ()},
        ),
        thousands=tuple(_thousands(tables)),
    )
    subgroups = evidence.subgroups
    asks = "Does it do worse for some than for others?"
    instead = _subgroup_tables(subgroups.tables, target)
    yield PageSection("Subgroups", asks, subgroups, tables=_tables(subgroups, target, instead))


def _flow_tables(tables: Tables) -> dict[str, list[PageTable | None]]:
    """The steps are drawn, and single images are named in their CSV file only."""
    shown: dict[str, list[PageTable | None]] = {"overlap": []}
    if with_columns(tables, "flow", "step", "left_out", "remain") is not None:
        shown["flow"] = []
    counts = with_columns(tables, "counts", "kind", "property", "value", "class", "images", "patients")
    if counts is not None:
        counts = counts.assign(**{"class": counts["class"].map(as_words)})
        wide = counts.pivot_table(
            index=["kind", "property", "value"], columns="class", values="images", sort=False, fill_value=0
        )
        patients = counts.groupby(["kind", "property", "value"], sort=False)["patients"].max()
        table = wide.astype(int).assign(patients=patients).reset_index()
        shown["counts"] = [as_it_is(table, "counts", "Images by class, and patients", at_most=_COUNTS)]
    return shown


def with_columns(tables: Tables, name: str, *columns: str) -> pd.DataFrame | None:
    """The table, if it is there, with these columns and at least one row."""
    table = tables.get(name)
    return table if table is not None and len(table) and set(columns) <= set(table.columns) else None


def _alone(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Every source alone: what several together show is in the tables, beside the mean within them."""
    alone = None if table is None else table[table["source"] != ALL_SOURCES]
    return alone if alone is not None and len(alone) else None


def _tables(
    section: Section, target: str, instead: Mapping[str, Iterable[PageTable | None]] | None = None
) -> tuple[PageTable, ...]:
    """What is shown of a section's tables: ``instead`` where it names the table, otherwise row by row."""
    given = instead or {}
    shown = (
        one
        for stem, table in section.tables.items()
        for one in (given[stem] if stem in given else (any_table(table, stem, titled(stem), target),))
    )
    return tuple(one for one in shown if one is not None)


def _metric_tables(tables: Tables, target: str, classes: tuple[str, ...]) -> Iterator[PageTable | None]:
    table, words = tables.get("metrics"), as_words(target)
    yield by_metric(table, "metrics", f"How well the model ranks {words} above the rest", target, _RANKING, _RANKING)
    called = f"{words} called where it is the most probable class"
    yield by_metric(table, "metrics", called, target, _CALLING, _CALLING[:2])
    yield by_metric(table, "metrics", "All classes together", ALL_CLASSES, _OVERALL, _OVERALL)
    for name in classes if len(classes) > 2 else ():
        if name != target:
            figures_of = ("auroc", *_CALLING[:4])
            yield by_metric(table, "metrics", f"{as_words(name)} against the rest", name, figures_of, ("auroc",))


def _one_against_one(tables: Tables, target: str) -> Iterator[PageTable | None]:
    """The target against each other class; the CSV file has the other pairs too."""
    table = with_columns(tables, "one_against_one", "against", "scope")
    if table is not None:
        said = table.assign(against=table["against"].map(as_words))
        names = ("auroc", "auroc_within_site")
        caption = f"{as_words(target)} against one other class, and within the sites that hold both"
        yield by_metric(said, "one_against_one", caption, target, names, names)


def _operating_points(tables: Tables, target: str) -> Iterator[PageTable | None]:
    """The name of the metric says what is held at which value; the threshold is in the CSV file."""
    table = tables.get("operating_points")
    if table is None or not len(table):
        return
    kept = table.drop(columns=["figure", "fixed", "at", "threshold"], errors="ignore")
    names = tuple(dict.fromkeys(kept["metric"][kept["scope"] == target]))
    yield by_metric(kept, "operating_points", f"{as_words(target)}: one figure held, the other given", target, names)


def _subgroup_tables(tables: Tables, target: str) -> dict[str, list[PageTable | None]]:
    """Averages over sources where there are several: a subgroup must not be a source in disguise."""
    shown = {}
    for stem, caption in (("subgroups", "Each subgroup by itself"), ("gaps", "Each subgroup less the rest")):
        table = with_columns(tables, stem, "kind", "source", "property", "subgroup", "metric")
        if table is not None:
            kept = pd.concat([_widest(rows) for _, rows in table.groupby("kind", sort=False)])
            kept = kept.drop(columns=["crude", "rest_n", "rest_patients"], errors="ignore")
            said = f"{caption}, {as_words(target)} against the rest"
            gaps = stem == "gaps"
            shown[stem] = [by_metric(kept, stem, said, target, _OF_SUBGROUPS, _OF_SUBGROUPS, differences=gaps)]
    return shown


def _widest(rows: pd.DataFrame) -> pd.DataFrame:
    """Of one kind: the sources, and what is averaged over them where anything is."""
    averaged = rows["source"] == WITHIN_SOURCES
    return rows[averaged | (rows["property"] == "source")] if averaged.any() else rows


def _discrimination_pictures(tables: Tables, target: str, classes: tuple[str, ...]) -> Iterator[Picture]:
    """Of two classes one curve mirrors the other, so that one is enough."""
    drawn = (target, *(name for name in classes if name != target and len(classes) > 2))
    metrics, words = tables.get("metrics"), as_words(target)
    roc = _alone(with_columns(tables, "roc", "kind", "source", "scope", "x", "y"))
    if roc is not None:
        caption = f"ROC curves by source. Band: 95% interval of {words}. A curve along the diagonal tells nothing."
        said = figures_in_words(_alone(metrics), ["auroc"], target)
        yield Picture.of(figures.roc_figure(roc, drawn), caption, said, "roc")
    curve = _alone(with_columns(tables, "precision_recall", "kind", "source", "scope", "x", "y"))
    if curve is not None:
        caption = (
            f"Precision-recall curves by source. Band: 95% interval of {words}. Precision depends on how common "
            "a class is in the source."
        )
        said = figures_in_words(_alone(metrics), ["average_precision"], target)
        yield Picture.of(figures.precision_recall_figure(curve, drawn), caption, said, "precision_recall")


def _matrices(tables: Tables, classes: tuple[str, ...]) -> Iterator[Matrix]:
    table = _alone(with_columns(tables, "confusion", "kind", "source", "truth", "predicted", "images"))
    for (kind, source), rows in table.groupby(["kind", "source"], sort=False) if table is not None else ():
        found = {(row["truth"], row["predicted"]): int(row["images"]) for row in rows.to_dict("records")}
        counts = tuple(tuple(found.get((t, p), 0) for p in classes) for t in classes)
        yield Matrix(str(kind), str(source), classes, counts)


def _calibration_pictures(tables: Tables, target: str) -> Iterator[Picture]:
    bins = with_columns(tables, "reliability", "scope", "mean_probability", "observed", "low", "high")
    shown = None if bins is None else bins[bins["scope"] == target]
    if shown is None or not len(shown):
        return
    if "binning" in shown.columns:
        shown = shown[shown["binning"] == shown["binning"].iloc[0]]
    caption = f"Reliability by source: how often {as_words(target)} was true, by the probability it was given."
    said = figures_in_words(_alone(tables.get("calibration")), _IN_WORDS, target)
    yield Picture.of(figures.reliability_figure(shown), caption, said, "reliability")


def _calibration_tables(tables: Tables, target: str) -> Iterator[PageTable | None]:
    table, against = tables.get("calibration"), f"{as_words(target)} against the rest"
    names = ("calibration_intercept", "calibration_slope", "ece", "ece_if_calibrated")
    yield by_metric(table, "calibration", f"Calibration, {against}", target, names, names)
    brier = ("brier_score", "brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bins")
    yield by_metric(table, "calibration", f"Brier score and its parts, {against}", target, brier)
    yield by_metric(table, "calibration", "The most probable class", ALL_CLASSES, names, names)


def _decision_pictures(tables: Tables) -> Iterator[Picture]:
    curve = with_columns(tables, "risk_coverage", "coverage", "risk")
    if curve is not None:
        caption = "Risk by coverage, by source: how many verdicts are wrong when only the surest are given."
        said = " ".join(picked_points(curve, "coverage", "risk", (0.5, 1.0), ("coverage", "risk")))
        yield Picture.of(figures.risk_coverage_figure(curve), caption, said, "risk_coverage")
    curves = with_columns(tables, "decision_curve", "threshold", "net_benefit", "treat_all")
    for origin, rows in _by_prevalence(curves):
        caption = (
            f"Decision curves by source, at the prevalence {origin}: net benefit of acting on the model, on "
            "everyone, on no one. It helps where its line lies above the two others."
        )
        said = " ".join(picked_points(rows, "threshold", "net_benefit", (0.1, 0.5), ("threshold", "net benefit")))
        yield Picture.of(figures.decision_curve_figure(rows), caption, said, "decision_curve")


def _by_prevalence(curves: pd.DataFrame | None) -> Iterator[tuple[str, pd.DataFrame]]:
    if curves is None or "prevalence_is" not in curves.columns:
        yield from () if curves is None else [("of the sample", curves)]
        return
    for origin, rows in curves.groupby("prevalence_is", sort=False):
        yield str(origin), rows


def _decision_tables(tables: Tables, target: str) -> Iterator[PageTable | None]:
    table = tables.get("decision")
    if with_columns(tables, "decision", "rule") is None or table is None:
        yield by_row(table, "decision", "Decision", scope=target)
        return
    for rule, rows in table.groupby("rule", sort=False):
        for scope, of_scope in rows.groupby("scope", sort=False):
            names = tuple(dict.fromkeys(of_scope["metric"]))
            caption = f"By {rule}: {as_words(str(scope))}"
            yield by_metric(of_scope.drop(columns="rule"), "decision", caption, str(scope), names, names[:2])


def _thousands(tables: Tables) -> Iterator[PerThousand]:
    table = with_columns(tables, "per_1000", "kind", "source", "metric", "value")
    if table is None:
        return
    by = [name for name in ("kind", "source", "prevalence_is") if name in table.columns]
    for key, rows in table.groupby(by, sort=False):
        of = dict(zip(by, key, strict=True))
        known = {row["metric"]: row for row in records(rows) if row["value"] is not None}
        reasons = dict.fromkeys(row.get("withheld") or "" for row in records(rows) if row["value"] is None)
        fates, start = [], 0.0
        for metric, (words, colour) in _FATES.items():
            if metric in known:
                fates.append(PatientOutcome(words, colour, round(start, 2), known[metric]))
                start += known[metric]["value"]
        prevalence = plain(rows["prevalence"].iloc[0]) if "prevalence" in rows.columns else None
        origin = str(of.get("prevalence_is", "of the sample"))
        withheld = "; ".join(reason for reason in reasons if reason)
        yield PerThousand(str(of["kind"]), str(of["source"]), prevalence, origin, tuple(fates), withheld)
