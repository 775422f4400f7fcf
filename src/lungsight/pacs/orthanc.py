"""Orthanc by its REST interface: what arrived, an image's file, and results into it. Nothing runs inside Orthanc."""

from __future__ import annotations

import hashlib
import logging
from threading import Event
from typing import NamedTuple

import httpx

from lungsight.pacs.queue import Sent, State
from lungsight.pacs.selection import READ, why_not
from lungsight.pacs.sending import Archive, Delivered, SendingError
from lungsight.pacs.store import Store

_log = logging.getLogger("lungsight.pacs")

_AT_ONCE = 100
#: Images that may wait before more are fetched: an archive has more than a disk should hold twice.
_MOST_WAITING = 64
_PATIENCE = httpx.Timeout(60.0, connect=10.0)
_LONGEST_WAIT = 60.0
#: An instance that Orthanc answers with an error is asked for so many times.
_MOST_TIMES = 8


class Change(NamedTuple):
    """An instance that Orthanc took; ``number`` counts all its changes."""

    number: int
    instance: str


class Orthanc(Archive):
    """One Orthanc. A URL may hold user and password, which no message repeats."""

    def __init__(self, url: str, client: httpx.Client | None = None) -> None:
        stated = httpx.URL(url)
        self.name = str(stated.copy_with(username=None, password=None)).rstrip("/")
        account = httpx.BasicAuth(stated.username, stated.password) if stated.username else None
        self._client = client or httpx.Client(base_url=self.name, auth=account, timeout=_PATIENCE)

    def changes(self, since: int) -> tuple[list[Change], int, bool]:
        """New instances since a change, the number of the last change that was looked at, and whether it is the last.

        Raises httpx.HTTPError.
        """
        stated = self._get("/changes", since=since, limit=_AT_ONCE).json()
        new = [Change(one["Seq"], one["ID"]) for one in stated["Changes"] if one["ChangeType"] == "NewInstance"]
        return new, int(stated["Last"]), bool(stated["Done"])

    def last_change(self) -> int:
        """The number of the last change. Raises httpx.HTTPError."""
        return int(self._get("/changes?last").json()["Last"])

    def header(self, instance: str) -> dict[str, str] | None:
        """Some elements of an instance's header, as text; None if it is gone. Raises httpx.HTTPError."""
        try:
            tags = self._get(f"/instances/{instance}/simplified-tags").json()
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise
        return {keyword: str(tags.get(keyword) or "") for keyword in READ}

    def file(self, instance: str) -> bytes:
        """The whole file of an instance. Raises httpx.HTTPError."""
        return self._get(f"/instances/{instance}/file").content

    def send(self, objects: list[tuple[Sent, bytes]]) -> Delivered:
        """Store the objects; what Orthanc has already stays as it is. Raises SendingError."""
        try:
            for _, data in objects:
                self._client.post("/instances", content=data).raise_for_status()
        except httpx.HTTPError as error:
            raise SendingError(_in_words(error)) from error
        return Delivered([sent for sent, _ in objects])

    def holds(self, objects: list[Sent], study: str, transaction: str) -> bool | None:
        """Whether Orthanc has all of the objects. Raises SendingError."""
        try:
            found = [self._client.post("/tools/lookup", content=one.uid).raise_for_status().json() for one in objects]
        except httpx.HTTPError as error:
            raise SendingError(_in_words(error)) from error
        return all(any(one["Type"] == "Instance" for one in answer) for answer in found)

    def _get(self, path: str, **query: int) -> httpx.Response:
        return self._client.get(path, params=query or None).raise_for_status()


class Follower:
    """Takes what arrives in an Orthanc, from the change on at which it stopped.

    Args:
        orthanc: that is followed.
        store: where images and the last change are kept.
        seconds: between two questions.
        new_only: a follower that is new leaves out what is in Orthanc already.
    """

    def __init__(self, orthanc: Orthanc, store: Store, seconds: float = 2.0, *, new_only: bool = False) -> None:
        self._orthanc, self._store, self._seconds, self._new_only = orthanc, store, seconds, new_only
        self._source = hashlib.sha256(orthanc.name.encode()).hexdigest()[:16]
        self._wait = seconds
        self._failing, self._times = 0, 0

    def run(self, stopped: Event) -> None:
        """Follow until ``stopped`` is set. While Orthanc can't be reached, it is asked less and less often."""
        while not stopped.is_set():
            try:
                done = self.step()
                self._wait = self._seconds
            except httpx.HTTPError as error:
                _log.warning("Orthanc: %s; it is asked again in %.0f s", _in_words(error), self._wait)
                done, self._wait = True, min(2 * self._wait, _LONGEST_WAIT)
            if done:
                stopped.wait(self._wait)

    def step(self) -> bool:
        """Take up to a hundred changes; whether there is nothing more to do for now. Raises httpx.HTTPError."""
        if self._store.queue.count(State.RECEIVED) >= _MOST_WAITING:
            return True
        since = self._since()
        new, last, done = self._orthanc.changes(since)
        for change in new:
            self._take(change)
        if last < since:  # this Orthanc was made anew, and counts from the beginning
            last = 0
        self._store.queue.follow(self._source, last)
        return done

    def _since(self) -> int:
        since = self._store.queue.followed(self._source)
        if since is None:
            since = self._orthanc.last_change() if self._new_only else 0
            self._store.queue.follow(self._source, since)
        return since

    def _take(self, change: Change) -> None:
        """Take one change. One that Orthanc can't give, asked again and again, mustn't stop the rest."""
        try:
            self._taken(change)
        except httpx.HTTPStatusError as error:
            self._failing, self._times = change.number, self._times + 1 if self._failing == change.number else 1
            if self._times < _MOST_TIMES:
                raise
            _log.error("change %d passed by: Orthanc %s", change.number, _in_words(error))
            self._store.queue.pass_by("an instance that Orthanc couldn't give", (self._source, change.number))

    def _taken(self, change: Change) -> None:
        queue, followed = self._store.queue, (self._source, change.number)
        header = self._orthanc.header(change.instance)
        reason = "deleted meanwhile" if header is None else why_not(header, queue.is_ours)
        if header is None or reason is not None:
            _log.info("change %d passed by: %s", change.number, reason)
            return queue.pass_by(str(reason), followed)
        number = self._store.receive(header["SOPInstanceUID"], self._orthanc.file(change.instance), followed)
        _log.info("image %d received", number)
        return None


def _in_words(error: httpx.HTTPError) -> str:
    """What went wrong, without the address: it may hold a UID or a password."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers {error.response.status_code}"
    return f"can't be reached ({type(error).__name__})"
