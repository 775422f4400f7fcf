"""Contenders side by side: each in its own process, in rounds that alternate between them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Contender:
    """What is timed: ``function`` is ``MODULE:FUNCTION``, called with ``settings``."""

    name: str
    function: str
    batch_size: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One contender's rounds. ``startup`` is in seconds: imports and loading, from the start of the process."""

    contender: Contender
    startup: float
    seconds_per_image: tuple[float, ...]
    images: int
    peak_bytes: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds_per_image)

    def ratio_to(self, other: Measured) -> tuple[float, float, float]:
        """How many times as long it takes per image as ``other``: the median, the lowest and the highest of the
        rounds, each compared with the ``other``'s of the same round."""
        ratios = [a / b for a, b in zip(self.seconds_per_image, other.seconds_per_image, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


class _Process:
    """A contender that is loaded and waits for its next round."""

    def __init__(self, contender: Contender, files: Sequence[Path], cores: int) -> None:
        started = time.perf_counter()
        worker = Path(__file__).with_name("worker.py")
        arguments = [contender.function, json.dumps(contender.settings), json.dumps([str(file) for file in files])]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(worker), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(cores)},
        )
        self._name = contender.name
        self._reply()
        self.startup = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def round(self, at_least: float) -> dict[str, Any]:
        """All of the files, again and again until ``at_least`` seconds are over."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{at_least}\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name} ended with status {self._process.wait()}; its error stands above.")
        reply: dict[str, Any] = json.loads(line)
        return reply


def measure(
    contenders: Sequence[Contender],
    files: Sequence[Path],
    *,
    rounds: int,
    at_least: float,
    cores: int,
    say: Callable[[str], None],
) -> list[Measured]:
    """Time the contenders in turn (A B C A B C …), after one round each that doesn't count.

    Args:
        contenders: all of them stay loaded while the others run; a waiting one uses no core.
        files: every round does all of them at least once.
        rounds: that count.
        at_least: seconds that a round lasts; a fast contender does the files several times.
        cores: that each contender may use.
        say: is told what happens.
    """
    with ExitStack() as stack:
        processes = []
        for contender in contenders:
            processes.append(stack.enter_context(_Process(contender, files, cores)))
            say(f"{contender.name}: ready after {processes[-1].startup:.1f} s")
        for process in processes:
            process.round(0)
        replies: list[list[dict[str, Any]]] = [[] for _ in contenders]
        for number in range(1, rounds + 1):
            for contender, process, own in zip(contenders, processes, replies, strict=True):
                own.append(process.round(at_least))
                each = own[-1]["seconds"] / own[-1]["images"]
                say(f"round {number} of {rounds}, {contender.name}: {each:.4f} s an image")
        return [_measured(c, p.startup, own) for c, p, own in zip(contenders, processes, replies, strict=True)]


def _measured(contender: Contender, startup: float, replies: list[dict[str, Any]]) -> Measured:
    return Measured(
        contender=contender,
        startup=startup,
        seconds_per_image=tuple(reply["seconds"] / reply["images"] for reply in replies),
        images=sum(reply["images"] for reply in replies),
        peak_bytes=max(reply["peak_bytes"] for reply in replies),
    )
