"""A reading room at an address of this machine, and files for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from image_files import dicom, dicom_bytes

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE = 60  # seconds


@dataclass
class Served:
    """A room at an address of this machine, in a thread of this process."""

    package: Path
    store: Path
    settings: dict[str, Any] = field(default_factory=dict)
    port: int = 0

    def start(self) -> None:
        from lungsight.room.application import bound, server
        from lungsight.room.safety import Access
        from lungsight.room.state import Room, Settings

        self.room = Room(Settings(package=self.package, store=self.store, threads=1, **self.settings))
        socket = bound("127.0.0.1", self.port)
        self.port = socket.getsockname()[1]
        self.server = server(self.room, Access.to(self.room.store.key, "127.0.0.1", "", ()))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [socket]}, daemon=True)
        self.thread.start()
        until(lambda: self.server.started, "the room didn't open")

    def stop(self) -> None:
        self.room.events.close()
        self.server.should_exit = True
        self.thread.join(PATIENCE)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def finished(self) -> None:
        """Wait until every image is analysed."""

        def at_rest() -> bool:
            health = self.room.health()
            return bool(health["ready"] and not health["waiting"] and not health["running"])

        until(at_rest, "images are still waiting")

    def take(self, page: Page, *files: bytes) -> list[str]:
        """Send files as the page would; the ids of their images, analysed."""
        ids = []
        for data in files:
            answer = page.request.post(
                f"{self.address}/v1/images",
                data=data,
                headers={"Content-Type": "application/octet-stream", "Origin": self.address},
            )
            assert answer.status == 202, answer.text()
            ids += [image["id"] for image in answer.json()["images"]]
        self.finished()
        return ids


def until(true: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def chest(seed: int = 0, height: int = 360, width: int = 400) -> np.ndarray:
    """Two dark lungs on bright tissue, uint16 of 12 bits: enough for the small model's lung segmentation."""
    rows, columns = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    grey = np.random.default_rng(seed).uniform(0.7, 0.9, (height, width))
    for middle in (0.3, 0.7):
        lung = ((columns - middle) / 0.14) ** 2 + ((rows - 0.5) / 0.33) ** 2 < 1
        grey[lung] -= 0.5
    return np.rint(grey * 4095).astype(np.uint16)


def chest_file(seed: int = 0, **elements: Any) -> bytes:
    """The same as a DICOM file."""
    stated = {"WindowCenter": 2048, "WindowWidth": 4096, "ViewPosition": "PA", "ImagerPixelSpacing": [0.5, 0.5]}
    return dicom_bytes(dicom(chest(seed), bits=12, **(stated | elements)))


def open_viewer(page: Page, room: Served, image: str) -> None:
    """Open an image, and wait until it and what is known of it are shown."""
    page.goto(f"{room.address}/images/{image}")
    page.wait_for_selector("body[data-shown]")
