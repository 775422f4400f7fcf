"""The manifest: one row per image, whichever collection the image came from."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from lungsight._files import atomic_write
from lungsight.datasets.image_paths import absolute_paths, file_keys
from lungsight.datasets.label_mapping import DIAGNOSES, NO_DIAGNOSIS, label_counts
from lungsight.datasets.patients import known_patients
from lungsight.datasets.spellings import NOT, WORDS, is_missing, same_spelling, spelling
from lungsight.datasets.text_tables import column_key, read_table, rows_in_words
from lungsight.errors import ManifestError, printable
from lungsight.radiograph import View

#: Labels that lungsight's own readers give. A user's table may hold others; a recipe maps labels to classes.
LABELS = (*DIAGNOSES, *NO_DIAGNOSIS)
#: The label of an image whose diagnosis isn't stated.
UNLABELLED = "unlabelled"
SPLITS = ("train", "validation", "test")
#: The modality of phantoms.
SIMULATED = "simulated X-ray"


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
        Column("patient", "a key that tells patients apart within the source; empty: the image is its own patient"),
        Column("study", "a key of the examination the image belongs to"),
        Column("source", "the collection or hospital; empty: the manifest's file name"),
        Column("site", "the hospital, web site or publication within the source, where it is known"),
        Column("finding", "the label in the source's own words"),
        Column("reference_standard", "what the label rests on: RT-PCR, radiologist, report, publication …"),
        Column("view", "the projection", allowed=tuple(View)),
        Column(
            "view_guess",
            "what a view classifier makes of the image; used where `view` is neither",
            allowed=("PA", "AP"),
        ),
        Column("modality", "DICOM modality: CR, DX, CT …; 'X-ray' where the source says no more"),
        Column("body_part", "what the image shows: hand, pelvis …; empty: the chest"),
        Column("age", "in years", numeric=True),
        Column(
            "paediatric", "whether the patient is a child, where it is known without an age", allowed=("yes", "no")
        ),
        Column("sex", "M, F or O", allowed=("M", "F", "O")),
        Column("split", "the side of the split that the image is on", allowed=SPLITS),
        Column("lung_mask", "an image of the lungs (white is lung), same grid as the image"),
        Column("whole_lung_mask", "the same where the lung goes on behind the heart (white; grey: undecided)"),
        Column("lesion_mask", "an image of the lesions (white is lesion), same grid as the image"),
        Column("boxes", "JSON list of [x0, y0, x1, y1] around the disease, each as a fraction of width or height"),
        Column(
            "zone_severity", "JSON list of six scores 0…3: upper, middle, lower zone of the right, then left lung"
        ),
        Column("shortcut", "phantoms only: the shortcut planted in the image"),
    )
}
#: The age from which on a patient is an adult, in years.
_ADULT = 18
#: Begins the key of an image without a patient: its path follows, so that it is a patient of its own.
OWN_PATIENT = "image:"
_FILES = ("path", "lung_mask", "whole_lung_mask", "lesion_mask")


@dataclass(frozen=True)
class ColumnMapping:
    """What a table's own words mean.

    Attributes:
        columns: column of a manifest -> its name in the table.
        labels: label in the table -> the label it stands for.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Manifest:
    """A table of images, validated. Treat it as read-only.

    Attributes:
        table: exactly the columns of :data:`COLUMNS`, a 0…n-1 index, and absolute paths; missing text is ``""``,
            missing numbers are NaN.
        notices: sentences about what was assumed when it was read.
    """

    table: pd.DataFrame = field(repr=False)
    name: str = "manifest"
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def of(
        cls, rows: pd.DataFrame, name: str, folder: Path | None = None, labels: Mapping[str, str] | None = None
    ) -> Manifest:
        """Validate ``rows``.

        Args:
            rows: with at least the columns path and label.
            name: names the table in errors, and is the source where a row has none.
            folder: where relative paths start.
            labels: as in :class:`ColumnMapping`.

        Raises:
            ManifestError: with row numbers as a spreadsheet counts them (the header is row 1).
        """
        return _validated(rows.reset_index(drop=True), name, folder or Path.cwd(), labels or {}, [], set())

    @classmethod
    def read(cls, path: Path | str, naming: ColumnMapping | None = None) -> Manifest:
        """Read a manifest from CSV or Parquet. Raises ManifestError."""
        return _read(Path(path), naming or ColumnMapping(), set())

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
        """Return the images for which ``mask`` holds."""
        return replace(self, table=self.table[mask].reset_index(drop=True))

    def with_columns(self, **columns: object) -> Manifest:
        """Return the same images with other values in the named columns."""
        return replace(self, table=self.table.assign(**columns))  # type: ignore[arg-type]

    @property
    def patient_key(self) -> pd.Series:
        """A key that tells patients apart across sources."""
        return self.table["source"] + "/" + self.table["patient"]

    @property
    def has_patient(self) -> pd.Series:
        """Which images have a patient; each other image is taken for a patient of its own."""
        return names_patient(self.table)

    @property
    def is_projection(self) -> pd.Series:
        """Which images aren't CT, MR, PET or ultrasound, as far as the table says."""
        return ~self.table["modality"].isin(("CT", "MR", "NM", "PT", "US"))

    @property
    def is_simulated(self) -> pd.Series:
        """Which images are phantoms."""
        return self.table["modality"].eq(SIMULATED)

    @property
    def is_chest(self) -> pd.Series:
        """Which images show no other part of the body, as far as the table says."""
        return self.table["body_part"].str.lower().isin(("", "chest", "thorax"))

    @property
    def is_frontal(self) -> pd.Series:
        """Which images show the chest, PA, AP or in an unknown view."""
        return self.is_chest & self.table["view"].isin(("", *(view for view in View if view.is_frontal)))

    @property
    def projection(self) -> pd.Series:
        """PA or AP (lying down, too), as the table states it or else a classifier guessed; empty where unknown."""
        stated = self.table["view"].replace({View.AP_SUPINE: View.AP})
        return stated.where(stated.isin((View.PA, View.AP)), self.table["view_guess"])

    @staticmethod
    def joined(manifests: Sequence[Manifest], name: str = "manifest") -> Manifest:
        """Return all images of several manifests. Raises ManifestError where they give one file two labels."""
        table = pd.concat([m.table for m in manifests], ignore_index=True)
        places = pd.Series([m.name for m in manifests for _ in range(len(m))], index=table.index, dtype=object)
        if len(manifests) > 1:
            _refuse_two_labels(table, name, places)
        return Manifest(table, name, tuple(notice for m in manifests for notice in m.notices))


def read_manifests(paths: Sequence[Path], naming: ColumnMapping) -> list[Manifest]:
    """Read several manifests whose words ``naming`` explains.

    Raises:
        ManifestError: one can't be read, or none has a label that ``naming`` maps.
    """
    used: set[str] = set()
    manifests = [_read(path, naming, used) for path in paths]
    for label, meant in naming.labels.items():
        if label not in used:
            present = sorted({str(one) for manifest in manifests for one in manifest.table["label"]})
            problem = f"no image has this label (found: {', '.join(printable(one) for one in present[:12])})"
            raise ManifestError(f"--label '{label}={meant}'", problem, "correct its spelling, or leave it out")
    return manifests


def names_patient(table: pd.DataFrame) -> pd.Series:
    """Return for each row of a manifest's table whether it has a patient."""
    return ~table["patient"].str.startswith(OWN_PATIENT)


def is_child(table: pd.DataFrame) -> pd.Series:
    """Return for each row of a manifest's table whether the patient is known to be a child, by age or otherwise."""
    known = table.reindex(columns=["age", "paediatric"])
    return (known["age"] < _ADULT) | (known["paediatric"] == "yes")


def _read(path: Path, naming: ColumnMapping, used: set[str]) -> Manifest:
    if not path.is_file():
        raise ManifestError(path, "there is no such file", "give the path of a CSV or Parquet table")
    table = read_table(path, (*COLUMNS, *naming.columns.values()))
    notices = list(table.notices)
    rows = _renamed(table.rows, path, naming.columns, notices)
    try:
        read = _validated(rows, path.stem, path.resolve().parent, naming.labels, notices, used)
    except ManifestError as error:  # a person needs the file, not the source's name
        raise ManifestError(path, error.problem, error.hint) from error
    return replace(read, notices=tuple(f"{printable(path.name)}: {notice}" for notice in read.notices))


def _renamed(rows: pd.DataFrame, path: Path, columns: Mapping[str, str], notices: list[str]) -> pd.DataFrame:
    """The table with the columns that the user names under a manifest's names for them."""
    names = [str(name) for name in rows.columns]
    for wanted, called in columns.items():
        places = [i for i, name in enumerate(names) if name == called] or [
            i for i, name in enumerate(names) if column_key(name) == column_key(called)
        ]
        own = [i for i, name in enumerate(names) if column_key(name) == wanted and i not in places]
        if not places and not own:
            problem = f"has no column {printable(called)} (it has {', '.join(printable(n) for n in names if n)})"
            raise ManifestError(path, problem, f"correct --column {wanted}=NAME")
        if not places:
            notices.append(f"has no column {printable(called)}; its column {wanted} was read.")
            continue
        for i in places:
            names[i] = wanted
        for i in own:
            names[i] = ""
    return rows.set_axis(pd.Index(names, dtype=object), axis=1)


def _validated(
    rows: pd.DataFrame, name: str, root: Path, labels: Mapping[str, str], notices: list[str], used: set[str]
) -> Manifest:
    """The manifest of ``rows``, whose index is each row's number in a spreadsheet, less 2.

    The ``labels`` that rows have are added to ``used``.
    """
    table = _with_all_columns(rows, name, notices)
    used.update(same_spelling(label, labels) or "" for label in table["label"].unique())
    _translate_labels(table, labels, notices)
    _check_values(table, name)
    if not str(root).isascii() and printable(root) != str(root):  # pandas and SQLite hold UTF-8 only
        raise ManifestError(name, "its folder's name isn't UTF-8", "rename the folder")
    for column in _FILES:
        table[column], notice = absolute_paths(list(table[column]), root)
        notices += [notice] if notice else []
    table["patient"], notice = known_patients(table["patient"])
    notices += [notice] if notice else []
    table["source"] = table["source"].replace("", printable(name))
    unknown = table["patient"] == ""
    table.loc[unknown, "patient"] = OWN_PATIENT + table.loc[unknown, "path"].map(lambda p: _relative(p, root))
    _refuse_two_labels(table, name, pd.Series([f"row {i + 2}" for i in table.index], index=table.index))
    return Manifest(_once(table, notices).reset_index(drop=True), name, tuple(notices))


def _with_all_columns(rows: pd.DataFrame, name: str, notices: list[str]) -> pd.DataFrame:
    found: dict[str, list[int]] = {}
    for place, called in enumerate(rows.columns):
        found.setdefault(column_key(called), []).append(place)
    missing = [c.name for c in COLUMNS.values() if c.required and c.name not in found]
    if missing:
        hint = f"`lungsight data describe table` lists the columns{_other_names(missing, rows.columns)}"
        raise ManifestError(name, f"lacks the column {' and '.join(missing)}", hint)
    if rows.empty:
        raise ManifestError(name, "holds no images", "give one row per image")
    table = pd.DataFrame(index=rows.index)
    for column in COLUMNS.values():
        places = found.get(column.name, [])
        values = [_texts(rows.iloc[:, place], column) for place in places]
        _refuse_differing(values, column.name, name, notices)
        one = values[0] if values else pd.Series("", index=rows.index, dtype=object)
        table[column.name] = _numbers(one, column.name, name) if column.numeric else one
    return table


def _other_names(missing: Sequence[str], columns: Iterable[object]) -> str:
    """The options that would name the columns that are missing, by the first of the table's own that may be meant."""
    names = [str(column) for column in columns if str(column).strip()]
    options = [f"{column}={_likely(names, column)}" for column in missing]
    shown = " ".join(f"--column {shlex.quote(option)}" for option in options)
    return printable(f"; this table has {', '.join(names)}: say which with {shown}") if names else ""


def _likely(names: Sequence[str], column: str) -> str:
    return next((name for part in WORDS["columns"][column] for name in names if part in spelling(name)), "NAME")


def _refuse_differing(values: Sequence[pd.Series], column: str, name: str, notices: list[str]) -> None:
    """A column that is there twice is read where both have the same values."""
    if len(values) < 2:
        return
    differ = pd.concat(values, axis=1, keys=range(len(values))).nunique(axis=1) > 1
    if differ.any():
        rows = rows_in_words(differ.index[differ])
        problem = f"has the column {column} {len(values)} times, and they differ in {rows}"
        raise ManifestError(name, problem, "keep one of them")
    notices.append(f"the column {column} is there {len(values)} times with the same values: read once.")


def _translate_labels(table: pd.DataFrame, labels: Mapping[str, str], notices: list[str]) -> None:
    """Write labels in lungsight's own spelling, and those that ``labels`` maps as the user wants.

    What the table had is kept as the finding, where it has none.
    """
    found = table["label"].value_counts()
    meant = {label: _meaning(label, labels) for label in found.index}
    for new in dict.fromkeys(new for label, new in meant.items() if new != label):
        old = {label: int(found[label]) for label, one in meant.items() if one == new and label != new}
        rows = table.index[table["label"].isin(list(old))]
        where = f" in {rows_in_words(rows)}" if new == UNLABELLED else ""
        words = ("label", "is") if len(old) == 1 else ("labels", "are")
        notices.append(f"the {words[0]} {label_counts(old)}{where} {words[1]} read as {printable(new)}.")
    changed = table["label"].map(meant).astype(object)
    empty = (table["finding"] == "") & (changed != table["label"])
    table.loc[empty, "finding"] = _texts(table["label"][empty], COLUMNS["finding"])
    table["label"] = changed


def _meaning(label: str, labels: Mapping[str, str]) -> str:
    known = (*LABELS, *(NOT + one for one in LABELS))
    if (mapped := same_spelling(label, labels)) is not None:
        return labels[mapped]
    if is_missing(label):
        return UNLABELLED
    return same_spelling(label, known) or label


def _refuse_two_labels(table: pd.DataFrame, name: str, places: pd.Series) -> None:
    """Raise where a file has two labels; ``places`` names each row in the error."""
    keys = pd.Series(file_keys(list(table["path"])), index=table.index)
    labels = table["label"].groupby(keys).transform("nunique")
    wrong = keys[labels > 1]
    if wrong.empty:
        return
    rows = list(wrong.index[wrong == wrong.iloc[0]])
    stated = table["label"][rows].drop_duplicates()
    both = " and ".join(f"{printable(stated[row])} ({places[row]})" for row in stated.index)
    more = wrong.nunique() - 1
    others = f", and {more:,} more {'file has' if more == 1 else 'files have'} two labels" if more else ""
    file = printable(table["path"][rows[0]])
    raise ManifestError(name, f"{file} is labelled {both}{others}", "give each file one label")


#: Rows with the same values of these repeat an image.
_SAME = ("label", "patient", "source", "split")


def _once(table: pd.DataFrame, notices: list[str]) -> pd.DataFrame:
    """Each image once, where rows repeat it with the same label, patient, source and side of the split."""
    keys = table[list(_SAME)].assign(file=file_keys(list(table["path"])))
    named = names_patient(table)  # an image without one is named by its path, which may be spelt otherwise
    again = keys.assign(patient=table["patient"].where(named, "")).duplicated()
    if again.any():
        count = f"{int(again.sum()):,} rows repeat" if again.sum() > 1 else "1 row repeats"
        notices.append(f"{count} an image with the same label ({rows_in_words(again.index[again])}): counted once.")
    return table[~again]


def _texts(values: pd.Series, column: Column) -> pd.Series:
    """Cells as stripped text.

    In a column that may be empty, what means that nothing is known is empty, and values of a closed list have its
    spelling.
    """
    texts = values.astype(object).where(values.notna(), "").astype(str).str.strip().astype(object)
    if column.required or column.name == "patient":
        return texts
    closed = {value.casefold(): value for value in column.allowed or ()}
    return texts.map(lambda text: "" if _is_empty(text, column) else closed.get(text.casefold(), text)).astype(object)


def _is_empty(text: str, column: Column) -> bool:
    """``unknown`` may be meant as it is in a free text; in a key or a closed list it isn't a value."""
    keyed = column.name == "study" or column.allowed is not None
    return text.casefold() in WORDS["empty"] or (keyed and is_missing(text))


def _numbers(texts: pd.Series, column: str, name: str) -> pd.Series:
    """Cells as numbers, with a decimal point or comma; NaN where they are empty."""
    numbers = pd.to_numeric(texts.str.replace(r"^(-?\d*),(\d+)$", r"\1.\2", regex=True), errors="coerce")
    unknown = texts.map(is_missing)
    _refuse(numbers.isna() & ~unknown, texts, name, f"{column} is not a number")
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
    _refuse((ages < 0) | (ages > 120), ages.astype(str), name, "age must be between 0 and 120 years")


def _refuse(wrong: pd.Series, values: pd.Series, name: str, rule: str) -> None:
    if not wrong.any():
        return
    example = values[wrong].iloc[0]
    found = f" (found '{printable(example)}')" if example else ""
    rows = rows_in_words(wrong.index[wrong])
    raise ManifestError(name, f"{rows}: {rule}{found}", "correct the table and run the command again")


def _relative(value: str, root: Path) -> str:
    path = Path(value)
    return str(path.relative_to(root)) if value and path.is_relative_to(root) else value
