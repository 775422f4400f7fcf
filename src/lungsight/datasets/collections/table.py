"""A user's own table, as CSV or Parquet: one row per image, the columns of a manifest."""

from __future__ import annotations

from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions, Collection
from lungsight.datasets.manifest import ColumnMapping, read_manifests
from lungsight.errors import CollectionError


def _read(path: Path, options: BuildOptions) -> Build:
    if path.is_dir():
        raise CollectionError(path, "a folder, not a table", "give the CSV or Parquet file")
    (manifest,) = read_manifests([path], ColumnMapping(options.columns, options.labels))
    present = manifest.table["path"].map(lambda image: Path(image).is_file())
    missing = int((~present).sum())
    if missing == len(manifest):
        raise CollectionError(
            path,
            f"none of its {missing} images is there (the first is {manifest.table['path'].iloc[0]})",
            "correct the column path; a relative path starts at the table's own folder",
        )
    return Build(
        manifest.where(present), {"listed in the table, but the file is not there": missing} if missing else {}
    )


TABLE = Collection(
    name="table",
    title="Your own table of images, CSV or Parquet",
    home="",
    licence="yours",
    labels_rest_on="what its column reference_standard says",
    traps=("an empty column patient makes every image its own patient: a split by patient can't keep them together",),
    how_to_get="`lungsight data build table images.csv --out manifest.csv`",
    layout="one row per image; only path and label must be there",
    read=_read,
)
