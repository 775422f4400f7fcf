"""Work that overlaps: stages with threads of their own, joined by queues, results in the order of what went in.

Each stage takes what is waiting for it, at most so many items at a time: batches form by themselves where a stage is
the slowest, and nobody waits for one to fill. However many items there are, only so many are under way, so memory
stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One kind of work.

    Attributes:
        name: of its threads.
        work: takes a list of items and gives as many results, in the same order.
        threads: that do it at the same time.
        at_once: the most items that are handed to ``work`` together.
    """

    name: str
    work: Callable[[list[Any]], Sequence[Any]]
    threads: int = 1
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class _Numbered:
    """An item under way, with its place in the order; ``problem`` is what a stage raised."""

    place: int
    item: Any
    problem: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """No more comes than the items before this place."""

    place: int


Waiting = SimpleQueue["_Numbered | _End | None"]


def through(stages: Sequence[Stage], items: Iterable[Any], under_way: int) -> Generator[Any]:
    """What the last stage makes of each item, in the order of ``items``.

    What a stage raises is raised here, in its item's place. Closing the iterator waits for the work that the stages'
    threads are at: a process that ended amid it would be aborted by whatever library they are in.

    Args:
        stages: at least one, in order.
        items: pulled one by one, in a thread of their own, as results leave: they may be long in coming.
        under_way: the most items between ``items`` and the caller.
    """
    queues: list[Waiting] = [SimpleQueue() for _ in range(len(stages) + 1)]
    room, stopped = Semaphore(under_way), Event()
    _started("feeding", _feed, iter(items), queues[0], queues[-1], room, stopped)
    at_work = [
        _started(f"{stage.name}-{number}", _serve, stage, taken, given, stopped)
        for stage, taken, given in zip(stages, queues, queues[1:], strict=False)
        for number in range(stage.threads)
    ]
    try:
        yield from _in_order(queues[-1], room)
    finally:
        stopped.set()
        room.release()
        for stage, queue in zip(stages, queues, strict=False):
            for _ in range(stage.threads):
                queue.put(None)
        for thread in at_work:
            thread.join()


def _started(name: str, work: Callable[..., None], *arguments: Any) -> Thread:
    thread = Thread(target=work, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


def _feed(items: Iterator[Any], first: Waiting, last: Waiting, room: Semaphore, stopped: Event) -> None:
    place = 0
    try:
        while room.acquire() and not stopped.is_set():
            first.put(_Numbered(place, next(items)))
            place += 1
    except StopIteration:
        pass
    except BaseException as problem:  # whoever reads the results is to know
        last.put(_Numbered(place, None, problem))
        place += 1
    last.put(_End(place))


def _in_order(last: Waiting, room: Semaphore) -> Iterator[Any]:
    """Hand out what comes from the last queue in the order in which it was fed."""
    early: dict[int, _Numbered] = {}
    given, end = 0, None
    while end is None or given < end:
        if given not in early:
            come = last.get()
            if isinstance(come, _End):
                end = come.place
            elif come is not None:
                early[come.place] = come
            continue
        done = early.pop(given)
        given += 1
        room.release()
        if done.problem is not None:
            raise done.problem
        yield done.item


def _serve(stage: Stage, taken: Waiting, given: Waiting, stopped: Event) -> None:
    while (batch := _waiting(taken, stage.at_once)) and not stopped.is_set():
        sound = [one for one in batch if one.problem is None]
        try:
            results = list(stage.work([one.item for one in sound])) if sound else []
            done = [_Numbered(one.place, result) for one, result in zip(sound, results, strict=True)]
        except BaseException as problem:  # whoever reads the results is to know
            done = [_Numbered(one.place, None, problem) for one in sound]
        for one in (*(one for one in batch if one.problem is not None), *done):
            given.put(one)


def _waiting(queue: Waiting, most: int) -> list[_Numbered]:
    """What is waiting, at most so many; at least one, unless the end was announced."""
    batch: list[_Numbered] = []
    one = queue.get()
    while isinstance(one, _Numbered):
        batch.append(one)
        if len(batch) == most:
            break
        try:
            one = queue.get_nowait()
        except Empty:
            break
    else:
        if batch:
            queue.put(None)  # it was meant for this thread, which has some work yet
    return batch
