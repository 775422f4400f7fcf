"""Tables as the page shows them: a figure, its interval drawn on a line, and its sample in one cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lungsight._text import as_words, fixed
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.sections import decision
from lungsight.evaluation.testset.testset import KIND, KINDS
from lungsight.reporting.tables import plain
from lungsight.statistics import calibration_metrics as calibration
from lungsight.statistics import metrics
from lungsight.statistics.estimate import Estimate

_TITLES: Mapping[str, str] = {
    "share_left": "Share of the AUROC above chance that is left",
    "auroc_header": "AUROC of image statistics alone",
    "moved_towards_target": "Share of the way to images with the target",
    **decision.TITLES,
    **calibration.TITLES,
    **metrics.TITLES,
    "auroc_delong": "AUROC, DeLong's interval",
    "cramers_v": "Cramér's V",
    "scope": "Class",
    "roc": "ROC curves",
    "per_1000": "Of 1,000 patients",
    "safeguards": "Input checks",
    "unfamiliar": "Out of distribution",
    "without_refused": "With and without the images that scanning refuses or warns of as out of distribution",
    "verdicts": "Decisions when scanned",
    "answers_within_view": "Answers among images of one view",
    "costs": "Other limits on inconclusive images",
}
#: How pages name the kinds of interval.
INTERVALS = {"bca": "BCa", "percentile": "percentile", "basic": "basic", "delong": "DeLong", "exact": "exact"}
#: Rows that a table on the page has at most; the CSV file has them all.
AT_MOST = 40
#: Columns of figures that a page's width has room for.
_COLUMNS = 6
#: Share of a table's cells that must hold a figure, or it is given row by row.
_FULL = 0.6
#: What a reader should compare a figure with: chance for an AUROC, a calibrated model for its slope.
_MARKS = {"auroc": 0.5, "source_auroc": 0.5, "calibration_slope": 1.0, "calibration_intercept": 0.0}
#: Words in the name of a figure that is the difference of two.
_DIFFERENCES = frozenset(("minus", "gap", "difference", "change", "above"))
#: Words of a name that are written in capitals.
_WRITTEN = {"auroc": "AUROC", "ppv": "PPV", "npv": "NPV", "f1": "F1", "mcc": "MCC", "ece": "ECE", "iou": "IoU"}
#: Errors are far from 1; their line ends where they do.
_SMALL = ("ece", "brier", "aurc")
_WIDTH = 100.0
_AS_GOOD_AS_ZERO = 1e-12
#: Columns that hold names of classes.
_OF_CLASSES = ("scope", "truth", "predicted", "class", "label", "among", "against")


@dataclass(frozen=True)
class Scale:
    """The line that intervals are drawn on, and the mark to compare them with."""

    low: float
    high: float
    mark: float | None = None

    def position(self, value: float) -> float:
        """Where a value is on the line, 0…100."""
        share = (value - self.low) / (self.high - self.low)
        return round(_WIDTH * min(max(share, 0.0), 1.0), 2)

    @property
    def ticks(self) -> list[float]:
        """Its ends and its mark, from low to high."""
        return sorted({self.low, self.high} | (set() if self.mark is None else {self.mark}))

    @classmethod
    def of(cls, metric: str, estimates: Iterable[Estimate]) -> Scale:
        """0 to 1 for shares, around zero where a figure can be negative; the mark is always on it."""
        marks = (mark for name, mark in _MARKS.items() if metric.startswith(name))
        mark = 0.0 if _is_difference(metric) else next(marks, None)
        ends = [v for e in estimates for v in (e.value, e.low, e.high, mark) if v is not None]
        low, high = min(ends, default=0.0), max(ends, default=1.0)
        if low < 0 or _is_difference(metric):
            reach = _rounded_up(max(abs(low), abs(high)))
            return cls(-reach, reach, 0.0 if mark is None else mark)
        whole = high <= 1 and not metric.startswith(_SMALL)
        return cls(0.0, 1.0 if whole else _rounded_up(high), mark)


def _is_difference(metric: str) -> bool:
    return not _DIFFERENCES.isdisjoint(metric.split("_"))


def _rounded_up(reach: float) -> float:
    """To 1, 2 or 5 times a power of ten; what is as good as zero is on a line of 1."""
    power = 10.0 ** math.floor(math.log10(reach)) if reach > _AS_GOOD_AS_ZERO else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= reach * (1 - 1e-9))


@dataclass(frozen=True)
class Cell:
    """A cell: a figure with its scale, or a text."""

    estimate: Estimate | None = None
    scale: Scale | None = None
    text: str = ""
    number: bool = False


#: The labels of a line, and its cells.
_Labelled = tuple[Mapping[str, object], tuple[Cell, ...]]


@dataclass(frozen=True)
class Line:
    """One line of a table: its labels, and its cells."""

    heads: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PageTable:
    """A table of the page: lines in groups that each have a heading (empty for none).

    ``stem`` names the CSV file with every row; ``more`` says how many rows are only there.
    """

    caption: str
    stem: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    more: int = 0

    @property
    def scales(self) -> tuple[Scale | None, ...]:
        """Of each column, if all its lines share one."""
        columns = zip(*(line.cells for _, lines in self.groups for line in lines), strict=True)
        shared = [{cell.scale for cell in column if cell.estimate} for column in columns]
        return tuple(next(iter(scales)) if len(scales) == 1 else None for scales in shared)

    @property
    def interval(self) -> str:
        """The kind of most of its intervals; the page marks the others. Empty where it has none."""
        cells = (cell.estimate for _, lines in self.groups for line in lines for cell in line.cells)
        kinds = Counter(e.interval for e in cells if e is not None and e.interval)
        return kinds.most_common(1)[0][0] if kinds else ""


KIND_HEADINGS = {
    "internal": "Internal: other patients of sources the model was trained on",
    "external": "External: sources the model never saw",
    "unstated": "Not stated whether the model was trained on these sources",
}


def titled(name: str) -> str:
    """A metric's or column's name as a heading."""
    if name.startswith("verdict_"):
        return f"Decision: {as_words(name.removeprefix('verdict_'))}"
    words = " ".join(_WRITTEN.get(word, word) for word in name.split("_"))
    return _TITLES.get(name, words[:1].upper() + words[1:])


def by_metric(
    rows: Iterable[Row],
    stem: str,
    caption: str,
    scope: str,
    metrics: Sequence[str],
    drawn: Collection[str] = (),
    *,
    differences: bool = False,
    hidden: Collection[str] = (),
) -> PageTable | None:
    """A line for every set of labels (source …), a column for every metric; None if there is nothing to show.

    The intervals of the metrics in ``drawn`` are drawn on a line, around zero if they are ``differences``; the labels
    ``hidden`` are in the CSV file only.
    """
    kept = [row for row in rows if row.estimate.scope == scope and row.estimate.name in metrics]
    names = {row.estimate.name for row in kept}
    present = tuple(name for name in metrics if name in names)
    if not present:
        return None
    scales = {name: _scale(kept, name, differences) for name in present if name in drawn}
    found: dict[tuple[tuple[str, Label], ...], dict[str, Estimate]] = {}
    for row in kept:
        found.setdefault(_labels(row, hidden), {}).setdefault(row.estimate.name, row.estimate)
    lines = [
        (dict(key), tuple(Cell(of.get(name), scales.get(name)) for name in present)) for key, of in found.items()
    ]
    return _shown(caption, stem, tuple(titled(name) for name in present), lines)


def by_row(
    rows: Sequence[Row], stem: str, caption: str, *, scope: str = "", metric: str = "", at_most: int = AT_MOST
) -> PageTable | None:
    """A line for every estimate, its interval drawn; where there are too many, those of ``scope`` and ``metric``."""
    kept = list(rows)
    for attribute, wanted in (("scope", scope), ("name", metric)):
        matching = [row for row in kept if getattr(row.estimate, attribute) == wanted]
        kept = matching if matching and len(kept) > at_most else kept
    kept = kept[:at_most]
    if not kept:
        return None
    scales = {name: _scale(kept, name) for name in _names(kept)}
    scopes = {row.estimate.scope for row in kept}
    lines = []
    for row in kept:
        estimate = row.estimate
        several = {"scope": estimate.scope} if len(scopes) > 1 else {}
        several |= {"metric": estimate.name} if len(scales) > 1 else {}
        lines.append(({**dict(_labels(row)), **several}, (Cell(estimate, scales[estimate.name]),)))
    heading = "Figure" if len(scales) > 1 else titled(kept[0].estimate.name)
    return _shown(caption, stem, (heading,), lines, len(rows) - len(kept))


def by_label(rows: Sequence[Row], stem: str, caption: str, *, at_most: int = AT_MOST) -> PageTable | None:
    """A line for every metric, a column for every set of labels."""
    columns: dict[str, dict[str, Estimate]] = {}
    for row in rows:
        name = ", ".join(as_text(value) for _, value in reversed(_labels(row)) if value not in (None, ""))
        columns.setdefault(name, {}).setdefault(row.estimate.name, row.estimate)
    names = _names(rows)
    lines = [
        ({"metric": name}, tuple(Cell(of.get(name), _scale(rows, name)) for of in columns.values()))
        for name in names[:at_most]
    ]
    return _shown(caption, stem, tuple(columns), lines, max(0, len(names) - at_most)) if lines else None


def any_rows(rows: Sequence[Row], stem: str, caption: str, scope: str, metric: str = "") -> PageTable | None:
    """A table of which nothing is known beforehand, in the shape that leaves the least empty."""
    sets, names = len({_labels(row) for row in rows}), _names(rows)
    one_scope = len({row.estimate.scope for row in rows}) == 1
    full = one_scope and len(rows) > _FULL * sets * len(names) and len(names) > 1
    if full and len(names) <= _COLUMNS and sets <= AT_MOST:
        return by_metric(rows, stem, caption, rows[0].estimate.scope, names, names)
    if full and sets <= _COLUMNS:
        return by_label(rows, stem, caption)
    return by_row(rows, stem, caption, scope=scope, metric=metric)


def as_it_is(table: pd.DataFrame, stem: str, caption: str, *, at_most: int = AT_MOST) -> PageTable | None:
    """Every column as text, its numbers to three decimals."""
    if not len(table) or not len(table.columns):
        return None
    first, *rest = (str(name) for name in table.columns if name != KIND)
    lines = []
    for row in table.head(at_most).to_dict("records"):
        cells = tuple(
            Cell(text=_as_head(n, row[n]) or "–", number=isinstance(plain(row[n]), int | float)) for n in rest
        )
        lines.append(({name: row[name] for name in (KIND, first) if name in row}, cells))
    return _shown(caption, stem, tuple(map(titled, rest)), lines, max(0, len(table) - at_most))


def as_text(value: object) -> str:
    """A cell's value as the page shows it."""
    value = plain(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return fixed(value, 3) if isinstance(value, float) else str(value)


def _as_head(column: str, value: object) -> str:
    """A label: names of classes and metrics in words, others as they are."""
    if column == "metric":
        return titled(str(value))
    return as_words(as_text(value)) if column in _OF_CLASSES else as_text(value)


def _labels(row: Row, hidden: Collection[str] = ()) -> tuple[tuple[str, Label], ...]:
    return tuple((name, plain(value)) for name, value in row.labels.items() if name not in hidden)


def _names(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.estimate.name for row in rows))


def _scale(rows: Iterable[Row], metric: str, difference: bool = False) -> Scale:
    return Scale.of("difference" if difference else metric, (r.estimate for r in rows if r.estimate.name == metric))


def _shown(caption: str, stem: str, columns: tuple[str, ...], lines: Sequence[_Labelled], more: int = 0) -> PageTable:
    heads = tuple(dict.fromkeys(name for labels, _ in lines for name in labels if name != KIND))
    groups = tuple(
        (heading, tuple(Line(tuple(_as_head(name, of.get(name)) for name in heads), cells) for of, cells in members))
        for heading, members in _by_kind(lines)
    )
    return PageTable(caption, stem, tuple(map(titled, heads)), columns, groups, more)


def _by_kind(lines: Sequence[_Labelled]) -> Iterator[tuple[str, list[_Labelled]]]:
    kinds = list(dict.fromkeys(str(of.get(KIND, "")) for of, _ in lines))
    for kind in sorted(kinds, key=lambda name: KINDS.index(name) if name in KINDS else len(KINDS)):
        yield KIND_HEADINGS.get(kind, kind), [(of, cells) for of, cells in lines if str(of.get(KIND, "")) == kind]
