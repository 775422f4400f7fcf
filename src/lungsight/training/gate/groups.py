"""The images that the gate is trained on: the manifest's own, by source, and out-of-distribution ones, by family."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.ood_images import Kind, families
from lungsight.datasets.splits import TEST, TRAIN, VALIDATION
from lungsight.errors import ManifestError
from lungsight.radiograph import View
from lungsight.training.gate.recipe import GateRecipe

#: In this collection all patients are children; no other here states who is a child.
CHILDREN = frozenset({"kermany"})
PHANTOMS = "phantom"
_SHARES = {TRAIN: 0.7, VALIDATION: 0.15, TEST: 0.15}


@dataclass(frozen=True)
class Group:
    """Images of one kind and one origin.

    Attributes:
        name: tells it apart from all others.
        kind: what they are.
        source: of the manifest's images, also of those that out-of-distribution images are made from; or empty.
        family: of out-of-distribution images; empty for the manifest's own images and for phantoms.
        paths, patients: of the manifest's images that are shown or that out-of-distribution images are made from.
        views: how often each path is shown; of out-of-distribution images and phantoms, how many are drawn.
        projections, labels: of frontal images of the manifest, as it states them; else empty.
    """

    name: str
    kind: Kind
    source: str
    family: str
    paths: tuple[str, ...]
    patients: tuple[str, ...]
    views: int
    projections: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def generator(self, seed: int, index: int) -> np.random.Generator:
        """Of the draws of one image of the group."""
        return np.random.default_rng([seed, zlib.crc32(self.name.encode()), index])


def sides_of(manifest: Manifest, seed: int) -> NDArray[np.object_]:
    """The side of each image: the manifest's own if it states one, else drawn by patient.

    70% are for training, 15% for validation, 15% for test. A patient's side depends on the patient's key alone, so it
    is the same in every selection.
    """
    drawn = np.array([_fraction(f"{seed}/{key}") for key in manifest.patient_key])
    own = np.select([drawn < _SHARES[TRAIN], drawn < 1 - _SHARES[TEST]], [TRAIN, VALIDATION], TEST)
    stated = manifest.table["split"].to_numpy(dtype=object)
    return np.where(stated == "", own, stated)


def groups(recipe: GateRecipe, manifest: Manifest, seed: int) -> list[Group]:
    """All groups of a training. Raises ManifestError if there is no frontal radiograph."""
    known = manifest.table.assign(key=manifest.patient_key, kind=kinds_of(manifest))
    usable = known[(sides_of(manifest, seed) != TEST) & ~known["source"].isin(recipe.without_sources)]
    found = [group for kind in Kind for group in _shown(recipe, usable, kind, seed)]
    frontal = [group for group in found if group.kind is Kind.FRONTAL]
    if not frontal:
        raise ManifestError(manifest.name, "holds no frontal chest X-ray to train on", "give PA or AP images")
    if recipe.phantoms:
        found.append(Group(PHANTOMS, Kind.FRONTAL, PHANTOMS, "", (), (), recipe.phantoms))
    found += _ood_groups(recipe, frontal)
    return [group for group in found if group.kind is Kind.FRONTAL or group.kind not in recipe.without_kinds]


def kinds_of(manifest: Manifest) -> pd.Series:
    """The kind of each of the manifest's images; empty if it is none of them (another view of a radiograph)."""
    lateral = manifest.table["view"] == View.LATERAL
    of_each = {
        Kind.SLICE: ~manifest.is_projection,
        Kind.OTHER_PART: ~manifest.is_chest,
        Kind.FRONTAL: manifest.is_frontal,
        Kind.LATERAL: lateral,
    }
    return pd.Series(np.select(list(of_each.values()), list(of_each), ""), index=manifest.table.index, dtype=object)


def _shown(recipe: GateRecipe, usable: pd.DataFrame, kind: Kind, seed: int) -> Iterator[Group]:
    most = recipe.films_per_source if kind is Kind.FRONTAL else recipe.slices_per_source
    for source, rows in usable[usable["kind"] == kind].groupby("source", sort=True):
        name = f"{kind} of {source}"
        order = np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(len(rows))[:most]
        chosen = rows.iloc[np.sort(order)]
        few = len(chosen) <= most // 2
        views = recipe.views_per_film if kind is Kind.FRONTAL else recipe.views_per_other if few else 2
        stated = (tuple(chosen["view"]), tuple(chosen["label"])) if kind is Kind.FRONTAL else ()
        yield Group(name, kind, str(source), "", tuple(chosen["path"]), tuple(chosen["key"]), views, *stated)


def _ood_groups(recipe: GateRecipe, frontal: list[Group]) -> Iterator[Group]:
    for family in families().values():
        if family.name in recipe.without_families:
            continue
        if family.origin != "broken":
            yield Group(family.name, family.kind, "", family.name, (), (), recipe.decoys_per_family)
            continue
        for group in frontal:  # apart by source, so that a source left out leaves nothing of itself behind
            name = f"{family.name} of {group.source}"
            yield Group(
                name, family.kind, group.source, family.name, group.paths, group.patients, recipe.broken_per_source
            )


def _fraction(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode(errors="surrogateescape")).digest()[:6], "big") / 2**48
