"""A service's store, and an Orthanc in a network of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")

from detector_fixtures import cropping
from lungsight.inference import Detector
from lungsight.pacs.store import Store
from network_namespace import Namespace
from orthanc_server import OrthancServer

__all__ = ["cropping"]


@pytest.fixture(scope="session")
def keeping(cropping: Path) -> Detector:
    return Detector.load(cropping, threads=1, keep_header=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def network() -> Iterator[Namespace]:
    namespace = Namespace()
    yield namespace
    namespace.close()


@pytest.fixture
def orthanc(network: Namespace, tmp_path: Path) -> Iterator[OrthancServer]:
    """Running; what talks to it runs by ``network.run``."""
    server = OrthancServer(tmp_path)
    network.run(server.start)
    yield server
    network.run(server.stop)
