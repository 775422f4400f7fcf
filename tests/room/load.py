"""Many clients at once, a kill in between: is every accepted image there, scanned once, and how long does one take?

As a program it prints its figures: ``PYTHONPATH=tests python tests/room/load.py --seconds 300 --clients 20``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from lungsight.datasets.phantom import Label, draw
from room.running import Running, running

#: What clients send, as a part of what the scanner reached with all of them waiting.
OFFERED = 0.8


@dataclass
class Figures:
    """What was measured.

    Attributes:
        clients: that sent images at the same time.
        seconds: of sending, in all.
        rate: images per second that the scanner reached.
        accepted: images that were acknowledged.
        lost: of these, not there after the restart, or not scanned.
        doubled: findings beyond one for an image.
        p50, p95: seconds from the beginning of an upload to its finding, at 0.8 of the rate.
        megabytes: of memory in use, after warming up and at the end.
        failed: requests that ended in an error while the room was up.
    """

    clients: int
    seconds: float
    rate: float = 0.0
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    p50: float = 0.0
    p95: float = 0.0
    megabytes: tuple[float, float] = (0.0, 0.0)
    failed: list[str] = field(default_factory=list)


class _Finished(threading.Thread):
    """When each image was finished, by the room's events."""

    def __init__(self, room: Running) -> None:
        super().__init__(daemon=True)
        self.at: dict[str, float] = {}
        self._stream = urllib.request.urlopen(f"{room.address}v1/events", timeout=600)
        self.start()

    def run(self) -> None:
        try:
            for line in self._stream:
                if line.startswith(b"data: ") and b'"state": "done"' in line:
                    self.at[json.loads(line[6:])["id"]] = time.monotonic()
        except OSError:
            return  # the room was killed


class _Clients:
    """Send images, each client one after the other, at ``pause`` seconds from beginning to beginning."""

    def __init__(self, room: Running, film: bytes, figures: Figures, counter: itertools.count[int]) -> None:
        self._room, self._film, self._figures, self._counter = room, film, figures, counter
        self.begun: dict[str, float] = {}
        self._stopped = threading.Event()

    def send(self, seconds: float, pause: float, *, kill: bool = False) -> None:
        threads = [
            threading.Thread(target=self._one, args=(pause, pause * number / self._figures.clients))
            for number in range(self._figures.clients)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        if kill:
            self._room.kill()
        self._stopped.set()
        for thread in threads:
            thread.join(60)

    def _one(self, pause: float, delay: float) -> None:
        time.sleep(delay)
        while not self._stopped.is_set():
            begun = time.monotonic()
            data = self._film + next(self._counter).to_bytes(8, "big")  # after the end of the PNG
            try:
                told = self._room.ask("/v1/images?name=x.png", "POST", data)
                self.begun[told["images"][0]["id"]] = begun
                self._room.ask("/v1/images?limit=50")
            except OSError as error:
                if self._room.process.poll() is None:
                    self._figures.failed.append(str(error))
            self._stopped.wait(max(0.0, begun + pause - time.monotonic()))


def load(store: Path, *words: str | Path, seconds: float, clients: int, film: bytes) -> Figures:
    """Measure the rate, send at 0.8 of it, kill the room amid that, open it again and go on; then count."""
    figures, counter = Figures(clients, seconds), itertools.count()
    sent: set[str] = set()
    times: list[float] = []
    with running(store, *words) as room:
        room.until_ready()
        pressing = _Clients(room, film, figures, counter)
        begun = time.monotonic()
        pressing.send(seconds / 5, 0.0)
        room.until_done(600)
        figures.rate = len(pressing.begun) / (time.monotonic() - begun)
        first = _memory(room)
        pause = clients / (OFFERED * figures.rate)
        times += _paced(room, film, figures, counter, sent, seconds * 2 / 5, pause, kill=True)
        sent |= set(pressing.begun)
    with running(store, *words) as room:
        room.until_done(600)
        times += _paced(room, film, figures, counter, sent, seconds * 2 / 5, pause, kill=False)
        room.until_done(600)
        figures.megabytes = (first, _memory(room))
        room.interrupt()
    figures.p50, figures.p95 = (round(float(np.percentile(times, p)), 2) for p in (50, 95))
    figures.accepted = len(sent)
    _count(store, sent, figures)
    return figures


def _paced(
    room: Running,
    film: bytes,
    figures: Figures,
    counter: itertools.count[int],
    sent: set[str],
    seconds: float,
    pause: float,
    *,
    kill: bool,
) -> Sequence[float]:
    finished, clients = _Finished(room), _Clients(room, film, figures, counter)
    clients.send(seconds, pause, kill=kill)
    if not kill:
        room.until_done(600)
    sent |= set(clients.begun)
    return [finished.at[image] - begun for image, begun in clients.begun.items() if image in finished.at]


def _count(store: Path, sent: set[str], figures: Figures) -> None:
    with sqlite3.connect(store / "room.sqlite") as database:
        done = {row[0] for row in database.execute("SELECT id FROM images WHERE state = 'done'")}
        findings = [row[0] for row in database.execute("SELECT image FROM findings")]
    there = {image for image in sent if (store / "images" / image[:2] / image).is_file()}
    figures.lost = len(sent - (done & set(findings) & there))
    figures.doubled = len(findings) - len(set(findings))


def _memory(room: Running) -> float:
    return round(psutil.Process(room.process.pid).memory_info().rss / 2**20, 1)


def film(size: int) -> bytes:
    """A phantom as PNG."""
    data = BytesIO()
    pixels = draw(3, next(iter(Label)), size=size).pixels
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--clients", type=int, default=20)
    options.add_argument("--size", type=int, default=1024, help="height of the image in pixels")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        figures = load(store, seconds=asked.seconds, clients=asked.clients, film=film(asked.size))
    print(json.dumps(asdict(figures) | {"load_average": os.getloadavg()}, indent=1))


if __name__ == "__main__":
    main()
