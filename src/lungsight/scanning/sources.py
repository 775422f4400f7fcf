"""The images to scan: paths of this machine, URLs, and lists of either in Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile, walk_images
from lungsight.reading.remote import RemoteFile, is_url, walk_url

Found = ImageFile | RemoteFile | UnreadableImageError

#: The columns in which a list may name its images; the first that is there counts.
COLUMNS = ("path", "file", "url")


def find_images(paths: Iterable[Path | str] | Path | str, passed_over: Counter[str] | None = None) -> Iterator[Found]:
    """Every image that ``paths`` name, lazily, in a stable order; what can't be read comes as an error in its place.

    A path is a file, a folder, a zip archive, a URL of a file or folder, or ends with ``.parquet``: a list of files
    and URLs. ``passed_over`` takes the number of files beside images in folders and archives of this machine.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    for kind, group in groupby(paths, _kind):
        if kind == "url":
            for url in group:
                yield from walk_url(str(url))
        elif kind == "list":
            for path in group:
                yield from _listed(str(path))
        else:
            yield from walk_images(group, passed_over=passed_over)


def name_of(found: Found) -> str:
    """As a finding names it."""
    return found.subject if isinstance(found, UnreadableImageError) else found.name


def _kind(path: Path | str) -> str:
    if str(path).lower().rstrip("/").endswith(".parquet"):
        return "list"
    return "url" if is_url(path) else "path"


def _listed(place: str) -> Iterator[Found]:
    """The images that a Parquet file, or a folder of such files, names; paths are relative to its folder."""
    import pyarrow as pa
    from pyarrow import dataset

    try:
        if is_url(place):
            from fsspec.core import url_to_fs

            system, inside = url_to_fs(place)
            table = dataset.dataset(inside, filesystem=system)
        else:
            table = dataset.dataset(place)
        column = next((name for name in COLUMNS if name in table.schema.names), None)
        if column is None:
            problem = f"has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}"
            yield UnreadableImageError(place, problem, "name the images in one")
            return
        row = 0
        for batch in table.to_batches(columns=[column]):
            for entry in batch.column(0).to_pylist():
                row += 1
                yield _entry(place, row, entry)
        if row == 0:
            yield UnreadableImageError(place, "this list names no image", "check the file")
    except (OSError, pa.ArrowException, ImportError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        yield UnreadableImageError(place, f"isn't a readable Parquet list of images ({reason})", "check it")


def _entry(place: str, row: int, entry: object) -> Found:
    if not isinstance(entry, str) or not entry or "\0" in entry:
        return UnreadableImageError(f"{place}, row {row}", "names no image", "give a path or URL there")
    if is_url(entry):
        return RemoteFile(entry)
    if is_url(place):
        return RemoteFile(f"{place.rstrip('/').rpartition('/')[0]}/{entry}")
    return ImageFile.at(Path(place).parent / entry)
