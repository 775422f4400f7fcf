"""Tables as the page shows them: a figure, its interval drawn on a line, and its sample in one cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lungsight.evaluation.formatting import as_words, fixed
from lungsight.evaluation.sections import decision
from lungsight.evaluation.testset.testset import KIND, KINDS
from lungsight.reporting.evidence_json import plain
from lungsight.statistics import calibration_metrics as calibration
from lungsight.statistics import metrics

_TITLES: Mapping[str, str] = {
    **decision.TITLES,
    **calibration.TITLES,
    **metrics.TITLES,
    "auroc_delong": "AUROC, DeLong's interval",
    "cramers_v": "Cramér's V",
    "scope": "Class",
    "roc": "ROC curves",
    "per_1000": "Of 1,000 patients",
}
#: What every table of estimates has; what else it has are labels.
ESTIMATE_COLUMNS = (
    "scope",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "positives",
    "negatives",
    "patients",
    "interval",
    "withheld",
)
#: Rows that a table on the page has at most; the CSV file has them all.
AT_MOST = 40
#: Columns of figures that a page's width has room for.
_COLUMNS = 6
#: Share of a table's places that must hold a figure, or it is given row by row.
_FULL = 0.6
#: What a reader should compare a figure with: chance for an AUROC, a calibrated model for its slope.
_MARKS = {"auroc": 0.5, "source_auroc": 0.5, "calibration_slope": 1.0, "calibration_intercept": 0.0}
#: Words in the name of a figure that is the difference of two.
_DIFFERENCES = frozenset(("minus", "gap", "difference", "change", "above"))
#: Words of a name that aren't written as words.
_WRITTEN = {"auroc": "AUROC", "ppv": "PPV", "npv": "NPV", "f1": "F1", "mcc": "MCC", "ece": "ECE", "iou": "IoU"}
#: Errors are far from 1; their line ends where they do.
_SMALL = ("ece", "brier", "aurc")
_WIDTH = 100.0
_AS_GOOD_AS_ZERO = 1e-12
#: Columns that hold names of classes.
_OF_CLASSES = ("scope", "truth", "predicted", "class", "label", "among")


@dataclass(frozen=True)
class Scale:
    """The line that intervals are drawn on, and the mark to compare them with."""

    low: float
    high: float
    mark: float | None = None

    def place(self, value: float) -> float:
        """Of a value on the line, 0…100."""
        share = (value - self.low) / (self.high - self.low)
        return round(_WIDTH * min(max(share, 0.0), 1.0), 2)

    @property
    def ticks(self) -> list[float]:
        """Its ends and its mark, from low to high."""
        return sorted({self.low, self.high} | (set() if self.mark is None else {self.mark}))

    @classmethod
    def of(cls, metric: str, rows: Iterable[Mapping[str, Any]]) -> Scale:
        """0 to 1 for shares, around zero where a figure can be negative; the mark is always on it."""
        mark = (
            0.0
            if _is_difference(metric)
            else next((m for name, m in _MARKS.items() if metric.startswith(name)), None)
        )
        ends = [v for row in rows for v in (row["value"], row["low"], row["high"]) if v is not None]
        ends += [] if mark is None else [mark]
        low, high = min(ends, default=0.0), max(ends, default=1.0)
        if low < 0 or _is_difference(metric):
            reach = _rounded_up(max(abs(low), abs(high)))
            return cls(-reach, reach, 0.0 if mark is None else mark)
        whole = high <= 1 and not metric.startswith(_SMALL)
        return cls(0.0, 1.0 if whole else _rounded_up(high), mark)


def _is_difference(metric: str) -> bool:
    return not _DIFFERENCES.isdisjoint(metric.split("_"))


def _rounded_up(reach: float) -> float:
    """To 1, 2 or 5 times a power of ten; what is as good as zero lies on a line of 1."""
    power = 10.0 ** math.floor(math.log10(reach)) if reach > _AS_GOOD_AS_ZERO else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= reach * (1 - 1e-9))


@dataclass(frozen=True)
class Cell:
    """What stands in one place: a figure with its scale, or a text."""

    row: Mapping[str, Any] | None = None
    scale: Scale | None = None
    text: str = ""
    number: bool = False


#: The labels of a line, and its cells.
_Drawn = tuple[Mapping[str, Any], tuple[Cell, ...]]


@dataclass(frozen=True)
class Line:
    """One row: what it is of, and what is known of it."""

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
        """Of each column, where all its lines share one."""
        columns = zip(*(line.cells for _, lines in self.groups for line in lines), strict=True)
        shared = [{cell.scale for cell in column if cell.row} for column in columns]
        return tuple(next(iter(scales)) if len(scales) == 1 else None for scales in shared)


KIND_HEADINGS = {
    "internal": "Internal: other patients of sources it was trained on",
    "external": "External: sources it never saw",
    "unstated": "Nobody says whether it was trained on these sources",
}


def titled(name: str) -> str:
    """A metric's or column's name as a heading."""
    words = " ".join(_WRITTEN.get(word, word) for word in name.split("_"))
    return _TITLES.get(name, words[:1].upper() + words[1:])


def is_estimates(table: pd.DataFrame) -> bool:
    return set(ESTIMATE_COLUMNS) <= set(table.columns)


def by_metric(
    table: pd.DataFrame | None,
    stem: str,
    caption: str,
    scope: str,
    metrics: Sequence[str],
    drawn: Sequence[str] = (),
    *,
    differences: bool = False,
) -> PageTable | None:
    """A line for every set of labels (source …), a column for every metric; those in ``drawn`` with their interval on
    a line, around zero where they are ``differences``. None where there is nothing to show."""
    if table is None or not is_estimates(table):
        return None
    kept = table[(table["scope"] == scope) & table["metric"].isin(metrics)]
    present = tuple(name for name in metrics if (kept["metric"] == name).any())
    labels = _labels(kept)
    if not present:
        return None
    scales = {name: _scale(kept, name, differences) for name in present if name in drawn}
    lines = []
    for key, rows in kept.groupby(labels, sort=False, dropna=False) if labels else [((), kept)]:
        of_metric = {str(row["metric"]): _plain_row(row) for row in reversed(rows.to_dict("records"))}
        cells = tuple(Cell(of_metric.get(name), scales.get(name)) for name in present)
        lines.append((dict(zip(labels, key if isinstance(key, tuple) else (key,), strict=True)), cells))
    return _shown(caption, stem, labels, tuple(titled(name) for name in present), lines)


def by_row(
    table: pd.DataFrame | None, stem: str, caption: str, *, scope: str = "", metric: str = "", at_most: int = AT_MOST
) -> PageTable | None:
    """A line for every estimate, its interval drawn; where there are too many, those of ``scope`` and ``metric``."""
    if table is None or not is_estimates(table) or not len(table):
        return None
    kept = table
    for column, wanted in (("scope", scope), ("metric", metric)):
        if len(kept) > at_most and wanted in set(kept[column]):
            kept = kept[kept[column] == wanted]
    kept = kept.head(at_most)
    labels = _labels(kept)
    several = [name for name in ("scope", "metric") if kept[name].nunique() > 1]
    scales = {name: _scale(kept, name) for name in kept["metric"].unique()}
    lines = [
        ({name: row[name] for name in (*labels, *several)}, (Cell(_plain_row(row), scales[row["metric"]]),))
        for row in kept.to_dict("records")
    ]
    heading = "Figure" if "metric" in several else titled(str(kept["metric"].iloc[0]))
    return _shown(caption, stem, [*labels, *several], (heading,), lines, len(table) - len(kept))


def by_label(table: pd.DataFrame | None, stem: str, caption: str, *, at_most: int = AT_MOST) -> PageTable | None:
    """A line for every metric, a column for every set of labels."""
    if table is None or not is_estimates(table) or not len(table):
        return None
    labels = _labels(table)
    columns: dict[str, dict[str, dict[str, Any]]] = {}
    for row in map(_plain_row, table.to_dict("records")):
        name = ", ".join(as_text(row[label]) for label in reversed(labels) if row[label] not in (None, ""))
        columns.setdefault(name, {}).setdefault(str(row["metric"]), row)
    metrics = list(dict.fromkeys(map(str, table["metric"])))
    lines = [
        ({"metric": name}, tuple(Cell(of.get(name), _scale(table, name)) for of in columns.values()))
        for name in metrics[:at_most]
    ]
    return _shown(caption, stem, ["metric"], tuple(columns), lines, max(0, len(metrics) - at_most))


def any_table(table: pd.DataFrame, stem: str, caption: str, scope: str, metric: str = "") -> PageTable | None:
    """A table of which nothing is known beforehand, in the shape that leaves the least empty."""
    if not is_estimates(table) or not len(table):
        return as_it_is(table, stem, caption)
    sets, metrics = len(table[_labels(table)].drop_duplicates()), table["metric"].nunique()
    full = table["scope"].nunique() == 1 and len(table) > _FULL * sets * metrics and metrics > 1
    if full and metrics <= _COLUMNS and sets <= AT_MOST:
        names = tuple(dict.fromkeys(map(str, table["metric"])))
        return by_metric(table, stem, caption, str(table["scope"].iloc[0]), names, names)
    if full and sets <= _COLUMNS:
        return by_label(table, stem, caption)
    return by_row(table, stem, caption, scope=scope, metric=metric)


def as_it_is(table: pd.DataFrame | None, stem: str, caption: str, *, at_most: int = AT_MOST) -> PageTable | None:
    """Every column as text, its numbers to three places."""
    if table is None or not len(table) or not len(table.columns):
        return None
    first, *rest = (str(name) for name in table.columns if name != KIND)
    lines = []
    for row in table.head(at_most).to_dict("records"):
        cells = tuple(Cell(text=_as_head(n, row[n]), number=isinstance(plain(row[n]), int | float)) for n in rest)
        lines.append(({name: row[name] for name in (KIND, first) if name in row}, cells))
    return _shown(caption, stem, [first], tuple(map(titled, rest)), lines, max(0, len(table) - at_most))


def as_text(value: Any) -> str:
    """A cell's value as the page shows it."""
    value = plain(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return fixed(value, 3) if isinstance(value, float) else str(value)


def _as_head(column: str, value: Any) -> str:
    """A label: names of classes and metrics are said in words, others as they stand."""
    if column == "metric":
        return titled(str(value))
    return as_words(as_text(value)) if column in _OF_CLASSES else as_text(value)


def _labels(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns if name not in ESTIMATE_COLUMNS]


def _scale(table: pd.DataFrame, metric: str, difference: bool = False) -> Scale:
    rows = map(_plain_row, table[table["metric"] == metric].to_dict("records"))
    return Scale.of("difference" if difference else metric, rows)


def _plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): plain(value) for name, value in row.items()}


def _shown(
    caption: str,
    stem: str,
    labels: Sequence[str],
    columns: tuple[str, ...],
    lines: Sequence[_Drawn],
    more: int = 0,
) -> PageTable:
    heads = tuple(name for name in labels if name != KIND)
    groups = tuple(
        (heading, tuple(Line(tuple(_as_head(name, of[name]) for name in heads), cells) for of, cells in members))
        for heading, members in _by_kind(lines)
    )
    return PageTable(caption, stem, tuple(map(titled, heads)), columns, groups, more)


def _by_kind(lines: Sequence[_Drawn]) -> Iterator[tuple[str, list[_Drawn]]]:
    kinds = list(dict.fromkeys(str(of.get(KIND, "")) for of, _ in lines))
    for kind in sorted(kinds, key=lambda name: KINDS.index(name) if name in KINDS else len(KINDS)):
        yield KIND_HEADINGS.get(kind, kind), [(of, cells) for of, cells in lines if str(of.get(KIND, "")) == kind]
