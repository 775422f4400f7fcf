"""Work over several processes, in order."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, *, chunk: int = 1
) -> Iterator[Result]:
    """Yield ``function`` of each item, in order, over ``workers`` processes; with one, in this process.

    A process is given ``chunk`` items at a time.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # spawn: the caller may have threads (of torch, of BLAS), and a forked process would inherit their locks.
    # OpenCV gets one thread in each: the processes share the processors already.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield from pool.map(function, items, chunksize=chunk)
    finally:
        pool.shutdown(cancel_futures=True)
