"""What a training writes down as it goes: whole files, and a log of sentences."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console


def command_line() -> str:
    """As a person would type it again."""
    return shlex.join(["lungsight", *sys.argv[1:]])


def log_to(path: Path, console: Console, *, writes: bool) -> Callable[[str], None]:
    """A function that writes a sentence to the console and, with its time, to ``path``."""
    started = time.strftime("%Y-%m-%d %H:%M:%S")

    def say(sentence: str) -> None:
        if writes:
            with path.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n")
        console.print(sentence, highlight=False, markup=False)

    if writes:
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{started} {command_line()}\n")
    return say
