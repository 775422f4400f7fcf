"""What lungsight knows of a collection of images, and how a folder of it becomes a manifest."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pandas as pd

from lungsight.datasets.manifest import Manifest
from lungsight.errors import CollectionError
from lungsight.reading.formats import has_image_ending

_DEPTH_OF_SEARCH = 3


@dataclass(frozen=True)
class RemoteFile:
    """One file that a collection's home gives to anybody who asks.

    Attributes:
        url: where it lies.
        name: what it is called here.
        gigabytes: about how large it is.
        sha256: in hexadecimal; None where the home publishes none (then what came is recorded beside the file).
    """

    url: str
    name: str
    gigabytes: float
    sha256: str | None = None


@dataclass(frozen=True)
class BuildOptions:
    """What a user may say about a folder whose layout doesn't say it.

    Attributes:
        labels: folder name, or label of a table -> label.
        patient: finds the patient in a file's name: its first group, or all that it matches.
        columns: of a manifest -> as a table calls it.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    patient: re.Pattern[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Build:
    """A manifest, and how many images were left out of it for which reason."""

    manifest: Manifest
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Collection:
    """A collection that lungsight can read.

    Attributes:
        name: as the command line has it.
        home: the page that its owners keep; empty for a user's own images.
        labels_rest_on: the reference standard, and how far it can be trusted.
        traps: what has misled others, a sentence each.
        how_to_get: what a user does to have it.
        layout: the files and folders that ``read`` looks for.
        read: makes the manifest from a folder (or file); raises InvalidCollection or InvalidManifest.
        downloads: what ``lungsight data get`` fetches; empty where a log-in or terms stand in the way.
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
        """The manifest of the images under ``folder``. Raises InvalidCollection or InvalidManifest."""
        folder = Path(folder)
        if not folder.exists():
            raise CollectionError(
                folder, "there is no such folder", f"`lungsight data describe {self.name}` says how to get it"
            )
        return self.read(folder.resolve(), options or BuildOptions())


def root_holding(folder: Path, marker: str, collection: str) -> Path:
    """``folder``, or the nearest folder below it, that holds ``marker`` (a glob pattern): an archive often unpacks
    into a folder of its own. Raises InvalidCollection."""
    level = [folder]
    for _ in range(_DEPTH_OF_SEARCH + 1):
        for candidate in level:
            if next(candidate.glob(marker), None) is not None:
                return candidate
        level = [child for parent in level for child in _folders(parent)]
    raise CollectionError(
        folder,
        f"holds no {marker}, so it isn't the collection {collection}",
        f"`lungsight data describe {collection}` shows the layout",
    )


def _folders(parent: Path) -> list[Path]:
    with os.scandir(parent) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


def images_under(folder: Path) -> Iterator[Path]:
    """Every image file below ``folder``, in order of its path; hidden files and folders are passed over."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if not name.startswith(".") and has_image_ending(name):
                yield Path(parent, name)


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A collection's own table, every value as text. Raises InvalidCollection where a column is missing."""
    try:
        text = path.read_text("utf-8-sig")  # not by pandas, whose parser turns Ctrl-C into an error of its own
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header
            table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except (OSError, ValueError, pd.errors.ParserWarning) as error:  # ValueError: pandas' parser, and bad UTF-8
        raise CollectionError(path, f"not a readable table ({error})", "get the file again") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise CollectionError(path, f"lacks the column {' and '.join(missing)}", "get the file again")
    return table


def build_of(rows: list[dict[str, object]], left_out: Mapping[str, int], collection: str, folder: Path) -> Build:
    """The manifest of ``rows``. Raises InvalidCollection where none is left."""
    if not rows:
        reasons = "; ".join(f"{count} left out: {reason}" for reason, count in left_out.items()) or "no image found"
        raise CollectionError(
            folder,
            f"no image of {collection} to use ({reasons})",
            f"`lungsight data describe {collection}` shows the layout",
        )
    return Build(Manifest.of(pd.DataFrame(rows), collection, folder), {k: v for k, v in left_out.items() if v})


def years(text: str) -> float | str:
    """An age as the manifest takes it: a number of years up to 120, else empty."""
    try:
        age = float(text)
    except ValueError:
        return ""
    return age if 0 <= age <= 120 else ""
