"""Keep C libraries from writing to the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_one_at_a_time = Lock()  # two threads that each restore what they found would silence it for good


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what this process writes to stderr within the block: keep it short.

    libtiff prints each error besides reporting it, and Pillow can't switch that off.
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
