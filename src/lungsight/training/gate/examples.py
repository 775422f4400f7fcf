"""All views of a training with their labels and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.datasets.ood_images import Kind
from lungsight.datasets.ood_images.kinds import Floats
from lungsight.radiograph import View
from lungsight.training.gate.features import ViewFeatures
from lungsight.training.gate.groups import CHILDREN, PHANTOMS, Group

KINDS = tuple(Kind)
_FRONTAL = KINDS.index(Kind.FRONTAL)
_SHARE_OF_FRONTAL = 0.4
_AP = {str(View.AP): 1.0, str(View.AP_SUPINE): 1.0, str(View.PA): 0.0}


@dataclass(frozen=True, eq=False)
class Examples:
    """n views, in the order of their groups.

    Attributes:
        features: float32 [n, features].
        kind, turn: class numbers.
        signs: 0 or 1 [n, 3]: inverted, marked, child.
        source: of the image, or of the one that an out-of-distribution image was made from; empty if there is none.
        group: the group's name.
        patient: empty for out-of-distribution images and phantoms.
        ap: float32 [n], 1 for AP and 0 for PA, as the manifest states it; else NaN.
        label: of the manifest; empty for out-of-distribution images and phantoms.
        plain: upright, not inverted, not heavily marked.
        first: the image as it is.
        validation: not trained on.
        weight: in the loss; 1 on average.
    """

    features: Floats
    kind: NDArray[np.int64]
    turn: NDArray[np.int64]
    signs: NDArray[np.float32]
    source: NDArray[np.object_]
    group: NDArray[np.object_]
    patient: NDArray[np.object_]
    ap: NDArray[np.float32]
    label: NDArray[np.object_]
    plain: NDArray[np.bool_]
    first: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    weight: NDArray[np.float32]

    @property
    def frontal(self) -> NDArray[np.bool_]:
        """Frontal radiographs, of people or phantoms."""
        return np.asarray(self.kind == _FRONTAL, dtype=np.bool_)

    @property
    def real(self) -> NDArray[np.bool_]:
        """Frontal radiographs of people."""
        return np.asarray(self.frontal & (self.source != PHANTOMS), dtype=np.bool_)

    @property
    def sources(self) -> list[str]:
        """Of the real frontal radiographs."""
        return sorted(set(self.source[self.real]))

    def where(self, chosen: NDArray[np.bool_]) -> Examples:
        """Those chosen, with new weights."""
        kept = {name: getattr(self, name)[chosen] for name in self.__dataclass_fields__ if name != "weight"}
        return Examples(**kept, weight=_weights(kept["kind"], kept["group"]))


def gather(
    groups: Sequence[Group], features_of: Callable[[Group], ViewFeatures], is_validation: Callable[[Group, int], bool]
) -> Examples:
    """The examples of all groups; ``is_validation`` returns whether an image of a group is for validation."""
    parts = [(group, features_of(group)) for group in groups]
    counts = [len(views.image) for _, views in parts]
    kind = np.repeat([KINDS.index(group.kind) for group, _ in parts], counts)
    name = np.repeat(np.array([group.name for group, _ in parts], dtype=object), counts)
    child = np.repeat([group.source in CHILDREN for group, _ in parts], counts)
    inverted = np.concatenate([views.inverted for _, views in parts])
    marked = np.concatenate([views.marked for _, views in parts])
    return Examples(
        features=np.concatenate([views.features for _, views in parts]),
        kind=kind,
        turn=np.concatenate([views.turn for _, views in parts]),
        signs=np.stack([inverted, marked, child], axis=1).astype(np.float32),
        source=np.repeat(np.array([group.source for group, _ in parts], dtype=object), counts),
        group=name,
        patient=np.array(
            [_patient(group, int(image)) for group, views in parts for image in views.image], dtype=object
        ),
        ap=np.array([_ap(group, int(image)) for group, views in parts for image in views.image], dtype=np.float32),
        label=np.array(
            [group.labels[int(image)] if group.labels else "" for group, views in parts for image in views.image],
            dtype=object,
        ),
        plain=np.concatenate([views.plain for _, views in parts]),
        first=np.concatenate([views.first for _, views in parts]),
        validation=np.array([is_validation(group, int(image)) for group, views in parts for image in views.image]),
        weight=_weights(kind, name),
    )


def _patient(group: Group, image: int) -> str:
    return group.patients[image] if group.patients and not group.family else ""


def _ap(group: Group, image: int) -> float:
    return _AP.get(group.projections[image], np.nan) if group.projections else np.nan


def _weights(kind: NDArray[np.int64], group: NDArray[np.object_]) -> NDArray[np.float32]:
    """Frontal images have 0.4 of the weight, the other kinds equal shares of the rest.

    Within their kind, groups share by the square root of their size.
    """
    weight = np.zeros(len(kind), dtype=np.float64)
    kinds = np.unique(kind)
    for number in kinds:
        rest = (1 - _SHARE_OF_FRONTAL) / max(len(kinds) - 1, 1)
        share = _SHARE_OF_FRONTAL if number == _FRONTAL else rest
        rows = np.flatnonzero(kind == number)
        _, index, size = np.unique(group[rows].astype(str), return_inverse=True, return_counts=True)
        weight[rows] = (share / np.sqrt(size).sum() / np.sqrt(size))[index]
    return np.asarray(weight * len(kind) / weight.sum(), dtype=np.float32)
