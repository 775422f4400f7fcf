"""The service is killed at random moments, while images arrive and the archive goes off: nothing lost, nothing twice.

`pytest -m long tests/pacs/test_killed.py` kills it 30 times over 200 images; LUNGSIGHT_IMAGES and LUNGSIGHT_KILLS
make it smaller. A moment is a random number of steps (lines of the log) and a part of a second, so that kills are
spread over all steps, however slow the machine is.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dicom_phantom import phantom_dx, phantom_pixels
from image_files import dicom_bytes
from lungsight.pacs.queue import State
from lungsight.pacs.store import open_queue
from network_namespace import Namespace
from orthanc_server import URL, OrthancServer

IMAGES = int(os.environ.get("LUNGSIGHT_IMAGES", "200"))
KILLS = int(os.environ.get("LUNGSIGHT_KILLS", "30"))
#: Seeds of phantoms in which the small model finds two lungs.
_ANATOMIES = (0, 1, 2, 4, 6, 7)
#: An image takes four lines of the log. Without progress for so many seconds a kill comes all the same.
_LINES_AN_IMAGE, _PATIENCE = 4, 90


class _Killing:
    """Images arrive between kills, so that every step of some image is hit."""

    def __init__(self, orthanc: OrthancServer, command: list[str], log: Path) -> None:
        self._orthanc, self._command, self._log = orthanc, command, log
        self._chance, self._sent = random.Random(1), 0
        self._pixels = [phantom_pixels(seed) for seed in _ANATOMIES]
        self.while_off = 0

    def run(self) -> None:
        for kill in range(KILLS):
            self._send(round(IMAGES * (kill + 1) / KILLS))
            service = self._started()
            if kill % 5 == 2:  # the archive goes off under the service, which is killed before it is on again
                self._orthanc.stop()
                self.while_off += 1
            self._wait_for_a_moment()
            service.send_signal(signal.SIGKILL)
            service.wait()
            if kill % 5 == 2:
                self._orthanc.start()
        last = self._started("--until-empty")
        assert last.wait(timeout=3000) == 0

    def _send(self, upto: int) -> None:
        for number in range(self._sent, upto):
            name = str(number)
            self._orthanc.take(dicom_bytes(phantom_dx(self._pixels[number % len(_ANATOMIES)], name)))
        self._sent = upto

    def _wait_for_a_moment(self) -> None:
        steps = self._chance.randint(0, _LINES_AN_IMAGE * IMAGES // KILLS)
        begun, deadline = self._log.read_bytes().count(b"\n"), time.monotonic() + _PATIENCE
        while self._log.read_bytes().count(b"\n") < begun + steps and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(self._chance.uniform(0, 0.5))

    def _started(self, *more: str) -> subprocess.Popen[bytes]:
        """The service, once it has begun its work."""
        with self._log.open("ab") as log:
            size = self._log.stat().st_size
            service = subprocess.Popen([*self._command, *more], stderr=log)
        while b"Ctrl-C" not in self._log.read_bytes()[size:]:
            assert service.poll() is None, self._log.read_text()
            time.sleep(0.05)
        return service


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_again_and_again_every_image_has_one_set_of_results(
    network: Namespace, orthanc: OrthancServer, cropping: Path, tmp_path: Path
) -> None:
    words = [
        "pacs",
        "--orthanc",
        URL,
        "--store",
        str(tmp_path / "service"),
        "--model",
        str(cropping),
        "--threads",
        "2",
    ]
    killing = _Killing(orthanc, [sys.executable, "-m", "lungsight", *words], tmp_path / "log")
    network.run(killing.run)
    found = network.run(orthanc.results)
    assert len(found) == IMAGES
    wrong = {name: sets for name, sets in found.items() if sets != Counter({"DX": 1, "OT": 1, "SR": 1})}
    assert wrong == {}
    with open_queue(tmp_path / "service") as queue:
        assert queue.count(State.COMMITTED) == IMAGES
        assert queue.counts().oldest is None
    log = (tmp_path / "log").read_text()
    assert "ntom" not in log
    print(
        f"{KILLS} kills, {killing.while_off} with the archive off, {IMAGES} images; {log.count(' judged in ')} judged"
    )
