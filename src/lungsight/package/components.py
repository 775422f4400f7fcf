"""Everything of a package that takes part in what is said of an image: the network, and what may stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from lungsight.components.classifier import Network, UnusableNetworkError
from lungsight.components.input_gate import Gate
from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.ood import OODDetector, UnusableOODDetectorError
from lungsight.package.description import PackageDescription
from lungsight.package.storage import FAMILIARITY, GATE, LUNG_FIELDS, NETWORK

S = TypeVar("S")
T = TypeVar("T")


class UnusableComponentError(ValueError):
    """A file of a package that can't do its work; ``str()`` names it and says why, without a full stop."""


class Components(NamedTuple):
    """Loaded and ready. With a familiarity, the network hands out its features."""

    network: Network
    lung_fields: LungSegmentation | None = None
    gate: Gate | None = None
    familiarity: OODDetector | None = None


def load_parts(description: PackageDescription, contents: Mapping[str, bytes]) -> Components:
    """All that ``description`` describes, each on one core; ``contents`` are the files by name.

    Raises:
        UnusablePart: one is missing or isn't what the description says.
    """
    if missing := sorted(description.described_parts - set(contents)):
        raise UnusableComponentError(f"{missing[0]} is described and not there")
    with_features = description.familiarity is not None
    return Components(
        usable(NETWORK, lambda: Network(contents[NETWORK], threads=1, features=with_features)),
        _part(LUNG_FIELDS, contents, description.lung_fields, lambda file, stated: LungSegmentation(file, stated, 1)),
        _part(GATE, contents, description.gate, lambda file, stated: Gate(file, stated, 1)),
        _part(FAMILIARITY, contents, description.familiarity, OODDetector),
    )


def _part(name: str, contents: Mapping[str, bytes], stated: S | None, load: Callable[[bytes, S], T]) -> T | None:
    return None if stated is None else usable(name, lambda: load(contents[name], stated))


def usable(name: str, load: Callable[[], T]) -> T:
    """What ``load`` makes of the file ``name``. Raises UnusablePart."""
    try:
        return load()
    except (UnusableNetworkError, UnusableOODDetectorError) as error:
        raise UnusableComponentError(f"{name} can't be used: {error}") from error
