"""A user's own table, as CSV or Parquet: one row per image, the columns of a manifest."""

from __future__ import annotations

from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions
from lungsight.datasets.manifest import ColumnMapping, read_manifests
from lungsight.errors import CollectionError


def read(path: Path, options: BuildOptions) -> Build:
    """Read the table without the rows whose image is missing. Raises CollectionError where all are."""
    if path.is_dir():
        raise CollectionError(path, "a folder, not a table", "give the CSV or Parquet file")
    (manifest,) = read_manifests([path], ColumnMapping(options.columns, options.labels))
    present = manifest.table["path"].map(lambda image: Path(image).is_file())
    missing = int((~present).sum())
    if missing == len(manifest):
        problem = f"none of its {missing} images is there (the first is {manifest.table['path'].iloc[0]})"
        hint = "correct the column path; a relative path starts at the table's own folder"
        raise CollectionError(path, problem, hint)
    left_out = {"listed in the table, but the file is not there": missing} if missing else {}
    return Build(manifest.where(present), left_out)
