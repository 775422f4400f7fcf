"""What is made once for all tests of a run, whichever of its processes asks first."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

T = TypeVar("T")

_MADE: dict[str, object] = {}


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """What ``make`` returns for an empty folder; the tests' other processes read it from a file.

    Session fixtures are made in each process of pytest-xdist, and once for every conftest.py that imports them.

    Args:
        tmp_path_factory: pytest's.
        name: of the thing and of its folder.
        make: its result can be pickled, and nobody changes it.
    """
    if name not in _MADE:
        root = tmp_path_factory.getbasetemp()
        folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
        kept = folder.with_suffix(".pickle")
        with FileLock(folder.with_suffix(".lock")):
            if not kept.is_file():
                folder.mkdir()
                kept.write_bytes(pickle.dumps(make(folder)))
        _MADE[name] = pickle.loads(kept.read_bytes())
    return _MADE[name]  # type: ignore[return-value]
