"""Keeping a C library from writing to the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_one_at_a_time = Lock()  # two threads that each restore what they found would leave the terminal silent for good


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Nothing in this process can write to stderr meanwhile: keep it short. Where stderr is closed, nothing is done.

    libtiff prints each error it meets besides reporting it, and Pillow offers no way to tell it not to.
    """
    with _one_at_a_time:
        try:
            kept = os.dup(_STDERR)
        except OSError:
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
