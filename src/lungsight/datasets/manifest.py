"""The manifest: one row per image, whichever collection the image came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lungsight._files import atomic_write
from lungsight.faults import InvalidManifest, printable
from lungsight.radiograph import View

#: Labels that lungsight's own readers give. A user's table may hold others; a recipe maps labels to classes.
LABELS = (
    "covid19",
    "other_pneumonia",
    "tuberculosis",
    "no_pneumonia",
    "indeterminate",
    "atypical",
    "unlabelled",
)
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Column:
    """One column of a manifest: what it means, and which values it may hold (None: any text)."""

    name: str
    meaning: str
    required: bool = False
    numeric: bool = False
    allowed: tuple[str, ...] | None = None


COLUMNS: Mapping[str, Column] = {
    c.name: c
    for c in (
        Column("path", "the image file; a relative path starts at the manifest's own folder", required=True),
        Column("label", f"what the image shows: {', '.join(LABELS)}, or labels of your own", required=True),
        Column(
            "patient",
            "a key that tells patients apart within the source; empty: the image is its own patient",
        ),
        Column("study", "a key of the examination the image belongs to"),
        Column("source", "the collection or hospital; empty: the manifest's file name"),
        Column("site", "the hospital, web site or publication within the source, where it is known"),
        Column("finding", "the label in the source's own words"),
        Column("reference_standard", "what the label rests on: RT-PCR, radiologist, report, publication …"),
        Column("view", "the projection", allowed=tuple(View)),
        Column("modality", "DICOM modality: CR, DX, CT …; 'X-ray' where the source says no more"),
        Column("body_part", "what the image shows: hand, pelvis …; empty: the chest"),
        Column("age", "in years", numeric=True),
        Column("sex", "M, F or O", allowed=("M", "F", "O")),
        Column("split", "which side of the split the image stands on", allowed=SPLITS),
        Column("lung_mask", "an image of the lung fields (white is lung), same grid as the radiograph"),
        Column("lesion_mask", "an image of the lesions (white is lesion), same grid as the radiograph"),
        Column("boxes", "JSON list of [x0, y0, x1, y1] around the disease, each as a fraction of width or height"),
        Column("shortcut", "phantoms only: the shortcut planted in the image"),
    )
}
_FILES = ("path", "lung_mask", "lesion_mask")


@dataclass(frozen=True, eq=False)
class Manifest:
    """A table of images, validated. ``table`` has exactly the columns of :data:`COLUMNS`, a 0…n-1 index, and
    absolute paths; text that is missing is ``""``, numbers that are missing are NaN. Treat it as read-only."""

    table: pd.DataFrame = field(repr=False)
    name: str = "manifest"

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def of(cls, rows: pd.DataFrame, name: str, folder: Path | None = None) -> Manifest:
        """Validate ``rows``; relative paths start at ``folder``. Raises InvalidManifest with row numbers as a
        spreadsheet counts them (the header is row 1)."""
        table = _with_all_columns(rows, name)
        _check_values(table, name)
        root = folder or Path.cwd()
        if not str(root).isascii() and printable(root) != str(root):  # pandas and SQLite hold UTF-8 only
            raise InvalidManifest(name, "its folder's name isn't UTF-8", "rename the folder")
        for column in _FILES:
            table[column] = [_absolute(value, root) for value in table[column]]
        table["source"] = table["source"].replace("", printable(name))
        unknown = table["patient"] == ""
        table.loc[unknown, "patient"] = "image:" + table.loc[unknown, "path"].map(lambda p: _relative(p, root))
        return cls(table.reset_index(drop=True), name)

    @classmethod
    def read(cls, path: Path | str) -> Manifest:
        """Read a manifest from CSV or Parquet. Raises InvalidManifest."""
        path = Path(path)
        rows = _read_table(path)
        try:
            return cls.of(rows, path.stem, path.resolve().parent)
        except InvalidManifest as fault:  # a person needs the file, not the source's name
            raise InvalidManifest(path, fault.fault, fault.cure) from fault

    def write(self, path: Path | str) -> None:
        """Write as CSV or Parquet, by the ending. Images under the file's folder are written relative to it."""
        path = Path(path)
        table = self.table.copy()
        root = path.resolve().parent
        for column in _FILES:
            table[column] = [_relative(value, root) for value in table[column]]
        with atomic_write(path) as file:
            if path.suffix == ".parquet":
                table.to_parquet(file, index=False)
            else:
                table.to_csv(file, index=False, lineterminator="\n", errors="backslashreplace")

    def where(self, mask: pd.Series) -> Manifest:
        """The images for which ``mask`` holds."""
        return Manifest(self.table[mask].reset_index(drop=True), self.name)

    def with_columns(self, **columns: object) -> Manifest:
        """The same images with other values in the named columns."""
        return Manifest(self.table.assign(**columns), self.name)  # type: ignore[arg-type]

    @property
    def patient_key(self) -> pd.Series:
        """A key that tells patients apart across sources."""
        return self.table["source"] + "/" + self.table["patient"]

    @property
    def is_projection(self) -> pd.Series:
        """Which images are no CT, MR, PET or ultrasound, as far as the table says."""
        return ~self.table["modality"].isin(("CT", "MR", "NM", "PT", "US"))

    @property
    def is_chest(self) -> pd.Series:
        """Which images show no other part of the body, as far as the table says."""
        return self.table["body_part"].str.lower().isin(("", "chest", "thorax"))

    @property
    def is_frontal(self) -> pd.Series:
        """Which images show the chest, PA, AP or in an unknown view."""
        return self.is_chest & self.table["view"].isin(("", *(view for view in View if view.is_frontal)))

    @staticmethod
    def joined(manifests: list[Manifest], name: str = "manifest") -> Manifest:
        return Manifest(pd.concat([m.table for m in manifests], ignore_index=True), name)


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InvalidManifest(path, "there is no such file", "give the path of a CSV or Parquet table")
    if not path.stat().st_size:
        raise InvalidManifest(path, "the file is empty", "give one row per image under a header")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=None, engine="python")
    except UnicodeDecodeError as error:
        raise InvalidManifest(path, f"the text isn't UTF-8 (byte {error.start})", "save it as CSV UTF-8") from error
    except Exception as error:  # pandas and pyarrow raise a dozen kinds for a broken table
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidManifest(path, f"not a readable table ({first_line})", "save it as CSV or Parquet") from error


def _with_all_columns(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [c.name for c in COLUMNS.values() if c.required and c.name not in rows.columns]
    if missing:
        raise InvalidManifest(
            name,
            f"lacks the column {' and '.join(missing)}",
            "`lungsight data describe table` lists the columns",
        )
    if rows.empty:
        raise InvalidManifest(name, "holds no images", "give one row per image")
    table = pd.DataFrame(index=rows.index)
    for column in COLUMNS.values():
        values = rows[column.name] if column.name in rows.columns else pd.Series("", index=rows.index, dtype=object)
        table[column.name] = _numbers(values, column.name, name) if column.numeric else _texts(values)
    return table


def _texts(values: pd.Series) -> pd.Series:
    texts = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    return texts.astype(object)


def _numbers(values: pd.Series, column: str, name: str) -> pd.Series:
    texts = _texts(values).replace("", "nan")
    numbers = pd.to_numeric(texts, errors="coerce")
    _refuse(numbers.isna() & (texts.str.lower() != "nan"), texts, name, f"{column} is not a number")
    return numbers.astype(float)


def _check_values(table: pd.DataFrame, name: str) -> None:
    for column in COLUMNS.values():
        if column.required:
            _refuse(table[column.name] == "", table[column.name], name, f"{column.name} is empty")
        if column.allowed is not None:
            wrong = ~table[column.name].isin(["", *column.allowed])
            _refuse(wrong, table[column.name], name, f"{column.name} must be one of {', '.join(column.allowed)}")
    for name_of_file in _FILES:
        paths = table[name_of_file]
        _refuse(paths.str.contains("\0", regex=False), paths, name, f"{name_of_file} holds a zero byte")
    ages = table["age"]
    _refuse((ages < 0) | (ages > 120), ages.astype(str), name, "age must lie between 0 and 120 years")


def _refuse(wrong: pd.Series, values: pd.Series, name: str, rule: str) -> None:
    if not wrong.any():
        return
    rows = [i + 2 for i, bad in enumerate(wrong) if bad]
    shown = ", ".join(str(row) for row in rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    example = values[wrong].iloc[0]
    found = f" (found '{printable(example)}')" if example else ""
    raise InvalidManifest(name, f"row {shown}: {rule}{found}", "correct the table and run the command again")


def _absolute(value: str, root: Path) -> str:
    return str((root / value).absolute()) if value else ""


def _relative(value: str, root: Path) -> str:
    path = Path(value)
    return str(path.relative_to(root)) if value and path.is_relative_to(root) else value
