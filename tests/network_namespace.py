"""A network of our own, in which nothing else can be reached and no port is taken: Linux, as root.

Orthanc's DICOM port listens on every address, whatever its settings say. In here that is loopback alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _UP = 0x8914, 0x41


def _enter() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _UP))


class Namespace:
    """A thread in a network of its own; threads and processes that it starts are in there, too."""

    def __init__(self) -> None:
        if os.name != "posix" or os.geteuid() != 0:
            pytest.skip("a network namespace needs root")
        self._thread = ThreadPoolExecutor(max_workers=1)
        try:
            self._thread.submit(_enter).result()
        except OSError as error:
            pytest.skip(f"no network namespace can be made here ({error.strerror})")

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What ``work`` returns in there."""
        return self._thread.submit(work, *arguments).result()

    def close(self) -> None:
        self._thread.shutdown()
