"""Every collection that lungsight reads: the command line and the documentation list from here."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions, Collection, RemoteFile, Row, build_of, root_holding
from lungsight.datasets.collections import (
    bones,
    class_folders,
    covid_cxnet,
    ct_slices,
    ieee8023,
    kermany,
    nih,
    shenzhen_montgomery,
    siim,
    table,
)
from lungsight.errors import CollectionError


def _reader(
    name: str, rows: Callable[[Path, BuildOptions], Iterable[Row | str]], marker: str = ""
) -> Callable[[Path, BuildOptions], Build]:
    """Read the folder that holds ``marker`` (the one that is given, where a collection has none)."""

    def read(folder: Path, options: BuildOptions) -> Build:
        root = root_holding(folder, marker, name) if marker else folder
        return build_of(rows(root, options), name, root)

    return read


def _collections() -> dict[str, Collection]:
    readers = {
        "ieee8023": _reader("ieee8023", ieee8023.rows, "metadata.csv"),
        "kermany": _reader("kermany", kermany.rows, "train/NORMAL"),
        "nih": _reader("nih", nih.rows),
        "siim": _reader("siim", siim.rows, "train_study_level.csv"),
        "shenzhen-montgomery": _reader("shenzhen-montgomery", shenzhen_montgomery.rows),
        "sarscov2-ct": _reader("sarscov2-ct", ct_slices.sarscov2_rows, "non-COVID"),
        "covid-ct": _reader("covid-ct", ct_slices.covid_ct_rows, "CT_NonCOVID"),
        "covid-cxnet": _reader("covid-cxnet", covid_cxnet.rows, "metadata.csv"),
        "bones": _reader("bones", bones.rows),
        "class-folders": _reader("class-folders", class_folders.rows),
        "table": table.read,
    }
    text = resources.files(__package__).joinpath("collections", "about.toml").read_text("utf-8")
    collections = {}
    for name, facts in tomllib.loads(text).items():
        downloads = tuple(RemoteFile(**file) for file in facts.pop("downloads", ()))
        collections[name] = Collection(name, read=readers[name], downloads=downloads, **facts)
    return collections


#: By name, in the order in which they are listed.
COLLECTIONS: Mapping[str, Collection] = _collections()


def collection_named(name: str) -> Collection:
    """Return the collection of that name. Raises CollectionError."""
    if name not in COLLECTIONS:
        raise CollectionError(name, "no such collection", f"choose one of {', '.join(COLLECTIONS)}")
    return COLLECTIONS[name]
