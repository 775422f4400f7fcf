"""What lungsight knows of a collection of images, and how a folder of it becomes a manifest."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.text_tables import TableError, read_table
from lungsight.errors import CollectionError
from lungsight.reading.formats import has_image_ending

_DEPTH_OF_SEARCH = 3
_LAYOUT = "`lungsight data describe {}` shows the layout"
#: The hint for a collection's own file that is damaged.
AGAIN = "get the file again"


#: A row of a manifest, by column.
Row = dict[str, object]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a collection that can be downloaded without a log-in.

    Attributes:
        url: its address.
        name: its name on disk.
        gigabytes: about how large it is.
        sha256: in hexadecimal; None where none is published (then that of the download is recorded beside it).
    """

    url: str
    name: str
    gigabytes: float
    sha256: str | None = None


@dataclass(frozen=True)
class BuildOptions:
    """What a user adds where the layout of a folder doesn't say it.

    Attributes:
        labels: folder name, or label of a table -> label.
        patient: finds the patient in a file's name: its first group, or all that it matches.
        columns: column of a manifest -> its name in the table.
        nih_table: the official table of ``nih``, if it isn't in its folder.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    patient: re.Pattern[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    nih_table: Path | None = None


@dataclass(frozen=True, eq=False)
class Build:
    """A manifest, and how many images were left out of it for which reason."""

    manifest: Manifest
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Collection:
    """A collection that lungsight can read; ``about.toml`` explains its texts.

    Attributes:
        name: as the command line has it.
        read: makes the manifest from a folder or file; raises CollectionError or ManifestError.
    """

    name: str
    title: str
    home: str
    licence: str
    labels_rest_on: str
    traps: Sequence[str]
    how_to_get: str
    layout: str
    read: Callable[[Path, BuildOptions], Build] = field(repr=False)
    downloads: Sequence[RemoteFile] = ()

    def build(self, folder: Path | str, options: BuildOptions | None = None) -> Build:
        """Return the manifest of the images under ``folder``. Raises CollectionError or ManifestError."""
        folder = Path(folder)
        if not folder.exists():
            hint = f"`lungsight data describe {self.name}` says how to get it"
            raise CollectionError(folder, "there is no such folder", hint)
        return self.read(folder.resolve(), options or BuildOptions())


def build_of(found: Iterable[Row | str], collection: str, folder: Path) -> Build:
    """Return the manifest of the rows in ``found``, whose texts are reasons why an image was left out.

    Raises:
        CollectionError: no row is left.
    """
    left_out: Counter[str] = Counter()
    rows: list[Row] = []
    for one in found:
        if isinstance(one, str):
            left_out[one] += 1
        else:
            rows.append(one)
    if not rows:
        reasons = "; ".join(f"{count} left out: {reason}" for reason, count in left_out.items()) or "no image found"
        raise CollectionError(folder, f"no image of {collection} to use ({reasons})", _LAYOUT.format(collection))
    return Build(Manifest.of(pd.DataFrame(rows), collection, folder), left_out)


def rows_by_folder(
    paths: Iterable[Path], labels: Mapping[str, str], row: Callable[[Path], Row]
) -> Iterator[Row | str]:
    """Yield a row for each image whose own folder has a label in ``labels``; ``row`` gives its other columns."""
    for path in paths:
        if path.parent.name in labels:
            yield {"path": str(path), "label": labels[path.parent.name], **row(path)}
        else:
            yield f"in a folder other than {' and '.join(labels)}"


def root_holding(folder: Path, marker: str, collection: str) -> Path:
    """Return ``folder``, or the nearest folder below it, that holds ``marker`` (a glob pattern).

    An archive often unpacks into a folder of its own. Raises CollectionError.
    """
    level = [folder]
    for _ in range(_DEPTH_OF_SEARCH + 1):
        for candidate in level:
            if next(candidate.glob(marker), None) is not None:
                return candidate
        level = [child for parent in level for child in _folders(parent)]
    problem = f"holds no {marker}, so it isn't the collection {collection}"
    raise CollectionError(folder, problem, _LAYOUT.format(collection))


def _folders(parent: Path) -> list[Path]:
    with os.scandir(parent) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


def images_under(folder: Path) -> Iterator[Path]:
    """Yield every image file below ``folder``, in order of its path, without hidden files and folders."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if not name.startswith(".") and has_image_ending(name):
                yield Path(parent, name)


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a collection's own table, every value as text. Raises CollectionError, also for a missing column."""
    try:
        table = read_table(path, columns)
    except TableError as error:
        raise CollectionError(path, error.problem, AGAIN) from error
    except OSError as error:
        raise CollectionError(path, f"not a readable table ({error})", AGAIN) from error
    missing = [column for column in columns if column not in table.rows.columns]
    if missing or table.notices:
        problem = f"lacks the column {' and '.join(missing)}" if missing else "isn't UTF-8"
        raise CollectionError(path, problem, AGAIN)
    return table.rows.loc[:, ~table.rows.columns.duplicated()]


def years(text: str) -> float | str:
    """Return an age as the manifest takes it: a number of years up to 120, else empty."""
    try:
        age = float(text)
    except ValueError:
        return ""
    return age if 0 <= age <= 120 else ""
