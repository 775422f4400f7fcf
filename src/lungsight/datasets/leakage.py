"""Patients, studies and images on both sides of a split, and the groups that keep them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lungsight.datasets.duplicates.search import DuplicatePair
from lungsight.datasets.manifest import SPLITS, Manifest


@dataclass(frozen=True, slots=True)
class Leak:
    """One patient, study or image on several sides of a split. ``str()`` is the sentence a user reads.

    Attributes:
        what: what is divided.
        name: of the patient or study, or the file of the image's first copy.
        sides: the sides it is on, in the order train, validation, test.
        rows: one row of the manifest for each side.
        files: the files of these rows.
    """

    what: Literal["patient", "study", "image"]
    name: str
    sides: tuple[str, ...]
    rows: tuple[int, ...]
    files: tuple[str, ...]

    def __str__(self) -> str:
        places = " and in ".join(
            f"{side} ({Path(file).name})" for side, file in zip(self.sides, self.files, strict=True)
        )
        if self.what == "image":
            return f"The same image is in {places}."
        return f"{self.what.capitalize()} {self.name} is in {places}."


def find_leaks(manifest: Manifest, pairs: Sequence[DuplicatePair]) -> list[Leak]:
    """Return each patient, study and image (with all its copies) that is on more than one side of ``split``."""
    table = manifest.table
    studies = _study_keys(manifest)
    copies = pd.Series(_components(len(table), [(pair.first, pair.second) for pair in pairs]), index=table.index)
    return [
        *_leaks_of("patient", manifest.patient_key, table),
        *_leaks_of("study", studies[studies != ""], table),
        *_leaks_of("image", copies, table),
    ]


def _leaks_of(what: Literal["patient", "study", "image"], keys: pd.Series, table: pd.DataFrame) -> Iterator[Leak]:
    assigned = table.loc[keys.index, "split"] != ""
    keys = keys[assigned]
    for key, members in keys.groupby(keys, sort=False):
        first = table.loc[members.index].groupby("split", sort=False).head(1)
        if len(first) < 2:
            continue
        first = first.sort_values("split", key=lambda sides: sides.map(SPLITS.index))
        name = first["path"].iloc[0] if what == "image" else str(key)
        rows = tuple(int(row) for row in first.index)
        yield Leak(what, name, tuple(first["split"]), rows, tuple(first["path"]))


def leak_groups(manifest: Manifest, pairs: Sequence[DuplicatePair]) -> NDArray[np.int_]:
    """Return a number for each image, shape [n], the same for all that share a patient, a study or an image.

    A group that is kept on one side of a split leaks nothing.
    """
    links = [(pair.first, pair.second) for pair in pairs]
    studies = _study_keys(manifest)
    for keys in (manifest.patient_key, studies[studies != ""]):
        for rows in keys.groupby(keys, sort=False).groups.values():
            links += [(int(rows[0]), int(row)) for row in rows[1:]]
    return _components(len(manifest), links)


def _study_keys(manifest: Manifest) -> pd.Series:
    """Studies by source, ``""`` where the study is unknown."""
    studies = manifest.table["study"]
    return (manifest.table["source"] + "/" + studies).where(studies != "", "")


def _components(nodes: int, links: Sequence[tuple[int, int]]) -> NDArray[np.int_]:
    ends = np.array(links, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), (ends[0], ends[1])), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=int)
