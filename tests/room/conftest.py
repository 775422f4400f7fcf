"""Rooms with a small model, asked without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from detector_fixtures import package, phantoms
from lungsight.room.application import application
from lungsight.room.safety import Access
from lungsight.room.state import Room, Settings

__all__ = ["package", "phantoms"]

ADDRESS = "http://localhost"
_PATIENCE = 60


class Client(TestClient):
    """A browser or a program that asks a room."""

    room: Room

    def upload(self, data: bytes, name: str = "chest.png") -> dict[str, Any]:
        """Upload a file."""
        answer = self.post("/v1/images", params={"name": name}, content=data)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def sent(self, data: bytes, name: str = "chest.png") -> str:
        """Upload an image and wait until it is scanned; its id."""
        (image,) = self.upload(data, name)["images"]
        self.finished()
        return str(image["id"])

    def finished(self) -> dict[str, Any]:
        """Wait until nothing waits; the counters."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            health = self.get("/v1/health").json()
            if health["ready"] and not health["waiting"] and not health["running"]:
                return health
            time.sleep(0.02)
        raise AssertionError(f"still at work: {health}")


def png(seed: int = 0, height: int = 90, width: int = 120) -> bytes:
    """An image unlike a chest, but neither blank nor saturated; another one for every seed."""
    noise = np.random.default_rng(seed).uniform(0.2, 0.6, (height, width)) + np.linspace(0, 0.3, width)
    data = BytesIO()
    Image.fromarray(np.rint(noise * 255).astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


OpenRoom = Callable[..., Client]


@pytest.fixture
def open_room(tmp_path: Path, package: Path) -> Iterator[OpenRoom]:
    """Opens a room; what it is given are its settings, ``host`` and ``names``."""
    with ExitStack() as stack:

        def opened(host: str = "127.0.0.1", names: tuple[str, ...] = (), **settings: Any) -> Client:
            stated = {"package": package, "store": tmp_path / "store", "threads": 1} | settings
            room = Room(Settings(**stated))
            access = Access.to(room.store.key, host, room.settings.token, names)
            client = Client(application(room, access), base_url=ADDRESS)
            client.room = room
            return stack.enter_context(client)

        yield opened


@pytest.fixture
def room(open_room: OpenRoom) -> Client:
    return open_room()
