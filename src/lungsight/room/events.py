"""News for the pages that are open: what changed, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

#: So many events may wait for a page that doesn't read them; then it is cut off, and its browser connects again.
_MOST_WAITING = 1000
#: Seconds between signs of life, so that a broken connection is noticed.
_ALIVE = 15.0
_RETRY_MS = 2000


class Events:
    """Hands each event to every page that listens. :meth:`send` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Queue[str | None]]] = set()
        self._closed = False

    def send(self, kind: str, **data: object) -> None:
        """Tell every page."""
        self._pass_on(f"event: {kind}\ndata: {json.dumps(data)}\n\n")

    def close(self) -> None:
        """End every connection: the room closes."""
        self._closed = True
        self._pass_on(None)

    async def listen(self) -> AsyncIterator[str]:
        """The events from now on, as text/event-stream has them."""
        mine = (asyncio.get_running_loop(), asyncio.Queue[str | None](_MOST_WAITING + 1))
        with self._lock:
            self._listeners.add(mine)
        try:
            yield f"retry: {_RETRY_MS}\n\n"
            while not self._closed:
                try:
                    message = await asyncio.wait_for(mine[1].get(), _ALIVE)
                except TimeoutError:
                    message = ": alive\n\n"
                if message is None:
                    return
                yield message
        finally:
            with self._lock:
                self._listeners.discard(mine)

    def _pass_on(self, message: str | None) -> None:
        with self._lock:
            for loop, queue in self._listeners:
                loop.call_soon_threadsafe(_put, queue, message)


def _put(queue: asyncio.Queue[str | None], message: str | None) -> None:
    if queue.qsize() < _MOST_WAITING:
        queue.put_nowait(message)
    elif not queue.full():
        queue.put_nowait(None)
