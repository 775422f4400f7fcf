"""Anybody's predictions as a table says them: which column names the image, and what probability each class has.

CSV (comma, semicolon, tab; decimal point or comma; percent), Parquet, and what ``lungsight scan`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lungsight._text import counted, shortened
from lungsight.datasets.text_tables import TableError, column_key, decoded, read_table
from lungsight.errors import LungsightError, printable
from lungsight.statistics.outcomes import Floats, Mask

#: Columns that may name the image, the first that is there counts.
IMAGE_COLUMNS = ("path", "file", "filename", "image")
#: Columns that hold the probability of one class that the user names.
SCORE_COLUMNS = ("probability", "score")
_PREFIXES = ("probability_", "p_")
_REASON_COLUMNS = ("fault", "reasons")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
#: Probabilities whose sum is off by this much were rounded; by more, they are no probabilities.
ROUNDING = 0.02
_EXACT = 1e-4
#: More out of range than this share of the rows, and the column holds something else.
_STRAY = 0.1
_MISSING = ("", "nan", "na", "n/a", "none", "null", "-")
REST = "other"


class PredictionsError(LungsightError):
    """A table of predictions that can't be used as it stands."""


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """What a table of predictions says, row by row.

    Attributes:
        images: the name of each row's image, as the table has it.
        classes: in the table's order, or in that of ``--class``.
        labels: the manifest's labels of each class; ``*`` takes the rest.
        target: the class set against the rest.
        probabilities: float [n, k]; rows sum to one, NaN where ``problems`` says why.
        faults: for each row, why it has no probabilities; empty where it has.
        notices: what had to be assumed or left out: sentences.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    labels: Mapping[str, Sequence[str]]
    target: str
    probabilities: Floats
    problems: tuple[str, ...]
    notices: tuple[str, ...]


def read_predictions_file(
    path: Path,
    present: Sequence[str],
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    target: str | None = None,
    called: Mapping[str, str] | None = None,
) -> PredictionTable:
    """Read a table of predictions.

    Args:
        path: the table.
        present: the manifest's labels; columns may be named as them.
        classes: the labels of each class.
        target: the class set against the rest.
        called: what the table calls the column ``path``, ``probability`` or ``probability_<class>``.

    Raises:
        PredictionsError: it can't be used.
    """
    rows, assumed = _read(path, called or {})
    images = _images(rows, path)
    columns = _columns_of_classes(rows, path, present, classes, target)
    names, labels = _named(columns, path, classes, target)
    values = np.column_stack([_numbers(rows[column], column, path) for column in columns.values()])
    values, notices = _as_shares(values, path)
    notices = (*assumed, *notices)
    if len(columns) == 1:
        (one,) = columns
        values = np.column_stack([values[:, 0] if name == one else 1 - values[:, 0] for name in names])
        alone = f"{printable(path.name)} gives the probability of {printable(one)} alone"
        notices += (f"{alone}; what remains of 1 is taken for the other class.",)
    stated = PredictionTable(
        images=tuple(images),
        classes=names,
        labels=labels,
        target=_target(names, target or (next(iter(columns)) if len(columns) == 1 else None), path),
        probabilities=values,
        problems=_reasons(rows, np.asarray(np.isnan(values).any(axis=1))),
        notices=notices,
    )
    return _summing_to_one(_in_range(stated, path), path)


def _read(path: Path, called: Mapping[str, str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table, text if it is CSV, and what was assumed; column names are stripped, it has a row or more."""
    if not path.is_file():
        raise PredictionsError(path, "there is no such file", "give the path of a CSV, Parquet or JSON lines table")
    try:
        rows, notices = _read_as(path, called)
    except TableError as problem:
        raise PredictionsError(path, problem.problem, problem.hint) from problem
    rows.columns = pd.Index(_renamed([str(name).strip() for name in rows.columns], called))
    keys = pd.Series([column_key(name) for name in rows.columns], index=rows.columns, dtype=object)
    if twice := sorted(set(keys.index[keys.duplicated()]) - {""}):
        raise PredictionsError(path, f"has the column {printable(twice[0])} twice", "keep one of them")
    if rows.empty:
        raise PredictionsError(path, "holds no predictions", "give one row per image under a header")
    return rows, tuple(f"{printable(path.name)}: {notice}" for notice in notices)


def _renamed(names: list[str], called: Mapping[str, str]) -> list[str]:
    """The names of the columns, those that the user names under the name they stand for."""
    for wanted, name in called.items():
        keys = [column_key(one) for one in names]
        place = (
            names.index(name) if name in names else keys.index(column_key(name)) if column_key(name) in keys else -1
        )
        if place >= 0:
            names = ["" if key == column_key(wanted) else one for one, key in zip(names, keys, strict=True)]
            names[place] = wanted
    return names


def _read_as(path: Path, called: Mapping[str, str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    known = (*IMAGE_COLUMNS, *SCORE_COLUMNS, *called.values())
    if path.suffix.lower() not in _JSON_SUFFIXES:
        with path.open("rb") as file:
            begins_as_json = file.read(64).lstrip(b"\xef\xbb\xbf\r\n \t").startswith(b"{")
        if not begins_as_json:
            read = read_table(path, known)
            return read.rows, read.notices
    text, notices = decoded(path.read_bytes(), path)
    return _read_json_lines(text, path), notices


def _read_json_lines(text: str, path: Path) -> pd.DataFrame:
    """One object a line; ``probabilities``, an object itself, becomes a column per class."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise PredictionsError(path, f"line {number} isn't JSON", "give one JSON object a line") from error
        if not isinstance(row, dict):
            raise PredictionsError(path, f"line {number} isn't a JSON object", "give one JSON object a line")
        stated = row.pop("probabilities", None)
        nested = stated if isinstance(stated, dict) else {}
        reasons = {"reasons": " ".join(map(str, row["reasons"]))} if isinstance(row.get("reasons"), list) else {}
        rows.append(row | reasons | {f"probability_{name}": value for name, value in nested.items()})
    return pd.DataFrame(rows)


def _find(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    """The first column with one of the names, whatever their case."""
    present = {column_key(column): str(column) for column in rows.columns}
    return next((present[column_key(name)] for name in names if column_key(name) in present), None)


def _images(rows: pd.DataFrame, path: Path) -> list[str]:
    column = _find(rows, IMAGE_COLUMNS)
    if column is None:
        hint = f"name one of its columns {', '.join(IMAGE_COLUMNS[:-1])} or {IMAGE_COLUMNS[-1]}"
        raise PredictionsError(path, "has no column that names the image", hint)
    names = [str(name).strip() if name is not None else "" for name in rows[column]]
    empty = [i + 2 for i, name in zip(rows.index, names, strict=True) if name.lower() in ("", "nan", "none")]
    if empty:
        raise PredictionsError(path, f"row {empty[0]}: {column} is empty", "name the image of every row")
    return names


def _columns_of_classes(
    rows: pd.DataFrame,
    path: Path,
    present: Sequence[str],
    classes: Mapping[str, Sequence[str]] | None,
    target: str | None,
) -> dict[str, str]:
    """The column of each class: of every class, or of one where the other's is what remains of 1."""
    found = _prefixed(rows)
    if not found:
        wanted = list(classes) if classes else [*present, *([target] if target else [])]
        found = {name: column for name in wanted if (column := _find(rows, [name]))}
    if not found and (column := _find(rows, SCORE_COLUMNS)):
        if target is None:
            hint = "name the class with --target"
            raise PredictionsError(path, f"doesn't say which class its column {column} is the probability of", hint)
        found = {target: column}
    if not found:
        hint = "give a column probability_<class> for each class, or one column `probability` and --target"
        raise PredictionsError(path, f"has no column of probabilities (it has {_shown(rows.columns)})", hint)
    return _for(classes, found, path) if classes else found


def _prefixed(rows: pd.DataFrame) -> dict[str, str]:
    for prefix in _PREFIXES:
        columns = [str(c) for c in rows.columns if column_key(c).startswith(prefix) and len(str(c)) > len(prefix)]
        if columns:
            return {column[len(prefix) :]: column for column in columns}
    return {}


def _for(classes: Mapping[str, Sequence[str]], found: Mapping[str, str], path: Path) -> dict[str, str]:
    """The columns in the order of the user's classes, which must be the table's."""
    named = {name.lower(): name for name in classes}
    if foreign := [name for name in found if name.lower() not in named]:
        hint = f"name its labels with --class {printable(foreign[0])}=LABEL"
        raise PredictionsError(path, f"has a column for {printable(foreign[0])}, which is none of the classes", hint)
    ordered = {named[name.lower()]: column for name, column in found.items()}
    missing = [name for name in classes if name not in ordered]
    if missing and not (len(classes) == 2 and len(ordered) == 1):
        hint = f"give a column probability_{missing[0]}"
        raise PredictionsError(path, f"has no column for the class {missing[0]}", hint)
    return {name: ordered[name] for name in classes if name in ordered}


def _named(
    columns: Mapping[str, str], path: Path, classes: Mapping[str, Sequence[str]] | None, target: str | None
) -> tuple[tuple[str, ...], Mapping[str, Sequence[str]]]:
    """The classes and the labels each holds.

    By default labels of the same name; if the table has one class only, every other diagnosis is its opposite.
    """
    if classes:
        if len(classes) < 2:
            raise PredictionsError(path, "one class alone can't be compared with anything", "add --class other=*")
        return tuple(classes), classes
    if len(columns) > 1:
        return tuple(columns), {name: [name] for name in columns}
    (one,) = columns
    if target is not None and one.lower() != target.lower():
        hint = f"give a column probability_{target}"
        raise PredictionsError(path, f"has no column for the class {printable(target)}", hint)
    rest = REST if one != REST else f"not {REST}"
    return (one, rest), {one: [one], rest: ["*"]}


def _target(names: Sequence[str], target: str | None, path: Path) -> str:
    wanted = target or "covid19"
    for name in names:
        if name.lower() == wanted.lower():
            return name
    if target is None:
        hint = f"choose one with --target: {_shown(names)}"
        raise PredictionsError(path, "doesn't say which class is set against the rest", hint)
    raise PredictionsError(path, f"{printable(target)} is none of its classes", f"give one of {_shown(names)}")


def _numbers(column: pd.Series, name: str, path: Path) -> Floats:
    """Cells as numbers: ``0.5``, ``0,5``, ``50 %``; NaN where a cell is empty. Raises InvalidPredictions."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    texts = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    percent = texts.str.endswith("%")
    digits = texts.str.rstrip("%").str.strip()
    commas = digits.str.count(",").eq(1) & ~digits.str.contains(".", regex=False)
    digits = digits.where(~commas, digits.str.replace(",", ".", regex=False))
    missing = texts.str.lower().isin(_MISSING)
    numbers = pd.to_numeric(digits.where(~missing, "nan"), errors="coerce")
    wrong = (numbers.isna() & ~missing).to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = printable(texts.iloc[row])[:40]
        problem = f"row {column.index[row] + 2}: {printable(name)} is not a number (found '{found}')"
        raise PredictionsError(path, problem, "correct the table")
    return np.asarray(numbers.to_numpy(dtype=np.float64) / np.where(percent, 100.0, 1.0), dtype=np.float64)


def _as_shares(values: Floats, path: Path) -> tuple[Floats, tuple[str, ...]]:
    """Percent become shares where every row says so by its sum."""
    complete = values[np.isfinite(values).all(axis=1)]
    if values.shape[1] > 1 and len(complete) and (complete >= 0).all():
        off = np.abs(complete.sum(axis=1) - 100) <= 100 * ROUNDING
        if off.mean() > 1 - _STRAY:
            return values / 100, (
                f"{printable(path.name)} gives percent (its rows sum to 100); they were divided by 100.",
            )
    return values, ()


def _reasons(rows: pd.DataFrame, missing: Mask) -> tuple[str, ...]:
    """Why rows have no probability: in the table's own words where it has any."""
    column = _find(rows, _REASON_COLUMNS)
    given = rows[column].fillna("").astype(str) if column else pd.Series("", index=rows.index)
    return tuple(
        (printable(reason).strip() or "the table gives no probability") if absent else ""
        for reason, absent in zip(given, missing, strict=True)
    )


def _in_range(stated: PredictionTable, path: Path) -> PredictionTable:
    values = stated.probabilities
    with np.errstate(invalid="ignore"):
        outside = np.asarray(((values < -_EXACT) | (values > 1 + _EXACT)).any(axis=1))
    if outside.sum() > _STRAY * len(values):
        row = int(np.flatnonzero(outside)[0])
        shown = ", ".join(f"{value:.4g}" for value in values[row])
        problem = f"{int(outside.sum())} of {len(values)} rows are outside 0…1 (row {row + 2}: {shown})"
        hint = "give probabilities: pass logits through a softmax, divide percent by 100"
        raise PredictionsError(path, problem, hint)
    details = ["a probability outside 0…1"] * len(values)
    left = _without(stated, outside, path, "outside 0…1", details)
    return replace(left, probabilities=np.clip(left.probabilities, 0.0, 1.0))


def _summing_to_one(stated: PredictionTable, path: Path) -> PredictionTable:
    totals = stated.probabilities.sum(axis=1)
    given = np.isfinite(totals)
    off = np.where(given, np.abs(totals - 1), 0.0)
    wrong = np.asarray(off > ROUNDING)
    if given.any() and wrong[given].all():
        row = int(np.flatnonzero(wrong)[0])
        problem = f"no row's probabilities sum to one (row {row + 2}: {totals[row]:.3f})"
        hint = "give the probability of every class, or of one alone in a column `probability` with --target"
        raise PredictionsError(path, problem, hint)
    details = [f"probabilities that sum to {total:.3f}" for total in totals]
    left = _without(stated, wrong, path, "that don't sum to one", details)
    rounded = (off > _EXACT) & ~wrong
    if rounded.any():
        most = f"off by {off[rounded].max():.3f} at most"
        notice = (
            f"{printable(path.name)}: {counted(int(rounded.sum()), 'row')} of probabilities sum to one but for "
            f"rounding ({most}): scaled."
        )
        left = replace(left, notices=(*left.notices, notice))
    scaled = left.probabilities / np.where(given & ~wrong, totals, 1.0)[:, None]
    return replace(left, probabilities=scaled)


def _without(stated: PredictionTable, wrong: Mask, path: Path, what: str, details: Sequence[str]) -> PredictionTable:
    """The same rows, those under ``wrong`` with a fault in place of probabilities, and a notice that counts them."""
    if not wrong.any():
        return stated
    first = int(np.flatnonzero(wrong)[0])
    rows = counted(int(wrong.sum()), "row")
    left_out = f"{printable(path.name)}: {rows} of probabilities {what} (first: row {first + 2}); left out."
    problems = tuple(details[row] if wrong[row] else kept for row, kept in enumerate(stated.problems))
    values = np.where(wrong[:, None], np.nan, stated.probabilities)
    return replace(stated, probabilities=values, problems=problems, notices=(*stated.notices, left_out))


def _shown(names: Sequence[str] | pd.Index) -> str:
    return shortened([printable(name) for name in names], 8)
