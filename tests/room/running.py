"""A room as people run it: ``lungsight serve`` in a process of its own, asked over loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Running:
    """A process of ``lungsight serve``."""

    process: subprocess.Popen[str]
    address: str
    output: list[str] = field(default_factory=list)

    def ask(self, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> Any:
        """The JSON of an answer, or its bytes. Raises OSError where the room is gone or refuses."""
        request = urllib.request.Request(self.address.rstrip("/") + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers.get("content-type", "") else content

    def until_ready(self, seconds: float = 120) -> None:
        """Wait until the scanner is warm."""
        self.until(lambda: bool(self.ask("/v1/health")["ready"]), seconds)

    def until_done(self, seconds: float = 300) -> dict[str, Any]:
        """Wait until nothing waits; the counters."""
        self.until(lambda: not (h := self.ask("/v1/health"))["waiting"] + h["running"] and h["ready"], seconds)
        return dict(self.ask("/v1/health"))

    def until(self, done: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it takes too long"
            assert self.process.poll() is None, "".join(self.output)
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut or the system would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def interrupt(self) -> int:
        """As Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def running(store: Path, *words: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """``lungsight serve --store STORE WORDS``, once it says its address."""
    command = [sys.executable, "-m", "lungsight", "serve", "--no-browser", "--port", "0", "--store", store, *words]
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment or os.environ.copy(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    output: list[str] = []
    try:
        first = process.stdout.readline()
        output.append(first)
        found = re.search(r"http://\S+", first)
        assert found, first + process.stdout.read()
        threading.Thread(target=lambda: output.extend(process.stdout or ()), daemon=True).start()
        yield Running(process, found[0], output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def refused(error: urllib.error.HTTPError) -> int:
    """The status of a refusal."""
    return error.code
