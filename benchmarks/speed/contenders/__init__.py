"""What is timed. Each module imports only its contender's libraries, for it is loaded in a process of its own.

A contender is a function that loads everything and returns a :data:`Task`; what it took to get there is its start-up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: Goes through all of the files once and returns how many images it has done.
Task = Callable[[list[Path]], int]
