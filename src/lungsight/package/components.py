"""The components of a package, each loaded from its file and checked against its description."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from lungsight.components.classifier import Network, UnusableNetworkError
from lungsight.components.input_gate import Gate
from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.ood import OODDetector, UnusableOODDetectorError
from lungsight.components.runtime import AUTO
from lungsight.package.description import PackageDescription
from lungsight.package.storage import FAMILIARITY, GATE, LUNG_FIELDS, NETWORK

T = TypeVar("T")


class UnusableComponentError(ValueError):
    """A file of a package that can't do its work; ``str()`` names it and says why, without a full stop."""


class Components(NamedTuple):
    """Loaded and ready. With an out-of-distribution detector, the network gives its features, too."""

    network: Network
    lung_fields: LungSegmentation | None = None
    gate: Gate | None = None
    ood: OODDetector | None = None


class ComponentFiles:
    """Loads what a description describes; ``threads`` is the cores of each component, 0 for all."""

    def __init__(self, description: PackageDescription, read: Callable[[str], bytes]) -> None:
        self.description = description
        self.read = read

    def network(self, threads: int = 0, *, runtime: str = AUTO, features: bool = False) -> Network:
        """The classifier; with ``features``, for :meth:`Network.run_with_features`."""
        return self._load(NETWORK, lambda file: Network(file, threads, runtime=runtime, features=features))

    def lung_fields(self, threads: int = 0, *, runtime: str = AUTO) -> LungSegmentation | None:
        """The lung segmentation; None if the package has none."""
        stated = self.description.lung_fields
        if stated is None:
            return None
        return self._load(LUNG_FIELDS, lambda file: LungSegmentation(file, stated, threads, runtime))

    def gate(self, threads: int = 0, *, runtime: str = AUTO) -> Gate | None:
        """The input gate; None if the package has none."""
        stated = self.description.gate
        return None if stated is None else self._load(GATE, lambda file: Gate(file, stated, threads, runtime))

    def familiarity(self) -> OODDetector | None:
        """The out-of-distribution detector; None if the package has none."""
        stated = self.description.familiarity
        return None if stated is None else self._load(FAMILIARITY, lambda file: OODDetector(file, stated))

    def components(self) -> Components:
        """All of them, each on one core."""
        ood = self.familiarity()
        return Components(self.network(1, features=ood is not None), self.lung_fields(1), self.gate(1), ood)

    def _load(self, name: str, load: Callable[[bytes], T]) -> T:
        """What ``load`` makes of the file. Raises UnusableComponentError."""
        try:
            content = self.read(name)
        except KeyError as error:
            raise UnusableComponentError(f"{name} is described and not there") from error
        try:
            return load(content)
        except (UnusableNetworkError, UnusableOODDetectorError) as error:
            raise UnusableComponentError(f"{name} can't be used: {error}") from error
