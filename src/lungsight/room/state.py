"""The open room: what every request is answered from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi import Path as PathParameter

from lungsight import RESEARCH_ONLY, __version__
from lungsight.errors import MissingExtraError
from lungsight.package import ModelPackage
from lungsight.room.events import Events
from lungsight.room.evidence import Report, find_reports
from lungsight.room.inbox import Inbox, Limits
from lungsight.room.listing import Listing
from lungsight.room.model import Model
from lungsight.room.reads import MEANINGS
from lungsight.room.store import Store
from lungsight.room.worker import Worker
from lungsight.triage import Rule, load_rule

if TYPE_CHECKING:
    from lungsight.room.pixels import Pixels
    from lungsight.scanning import Scanner

ImageId = Annotated[str, PathParameter(pattern="^[0-9a-f]{64}$", description="The sha256 of the file that was sent.")]

#: What needs more than the extra ``serve``: a module that only the other extra brings.
_NEEDS = {"altered": ("cv2", "data"), "phantoms": ("cv2", "data"), "agreement": ("scipy", "data")}


@dataclass(frozen=True)
class Settings:
    """How a room is opened.

    Attributes:
        package: the folder or zip of the model.
        store: the room's folder.
        folders: images to take in, and evidence reports to show.
        blind: no finding is shown of an image before it is read.
        keep_identifiers: names of files and patients are kept and shown.
        token: that every request needs; empty for none.
        rule: of urgency; None for lungsight's own.
        runtime: what runs the networks.
        threads: images that are scanned at the same time; 0: one a core.
        limits: what is taken at most.
    """

    package: Path
    store: Path
    folders: tuple[Path, ...] = ()
    blind: bool = False
    keep_identifiers: bool = False
    token: str = ""
    rule: Path | None = None
    runtime: str = "auto"
    threads: int = 0
    limits: Limits = field(default_factory=Limits)


class Room:
    """An open room. Raises LungsightError where the model or the store can't be opened.

    Args:
        settings: how it is opened.
        say: is called with a sentence about files in ``settings.folders``.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        self.settings, self._say = settings, say
        self.model = Model.of(ModelPackage.open(settings.package))
        self.rule: Rule = load_rule(settings.rule)
        self.store = Store(settings.store)
        self.events = Events()
        self.worker = Worker(
            self.store, self.events, self._load, self.rule, self.model.id, self.model.target, settings.threads
        )
        self.inbox = Inbox(
            self.store,
            keep_identifiers=settings.keep_identifiers,
            limits=settings.limits,
            arrived=self.worker.arrived,
        )
        self.listing = Listing(self.store, self.rule, self.model, blind=settings.blind)
        self._opened = time.monotonic()
        self._folders: threading.Thread | None = None

    def open(self) -> None:
        """Warm up, scan what waits, and take in the folders."""
        self.store.log("room", "started", self.model.id)
        self.worker.start()
        if self.settings.folders:
            self._folders = threading.Thread(target=self._take_folders, name="folders", daemon=True)
            self._folders.start()

    def close(self) -> None:
        """Finish the images that are under way; the others are scanned when the room is opened again."""
        self.events.close()
        self.worker.stop()
        if self._folders is not None:
            self._folders.join()
        self.store.close()

    @cached_property
    def reports(self) -> list[Report]:
        """The evidence reports and comparisons in the folders."""
        return find_reports(self.settings.folders)

    @cached_property
    def pixels(self) -> Pixels:
        """The images that were looked at last."""
        from lungsight.room.pixels import Pixels  # numpy and decoders, which the first page needn't wait for

        return Pixels(self.store)

    def health(self) -> dict[str, Any]:
        """Five counters, and how long the room has been open."""
        counts = self.store.counts()
        known = {"waiting": "waiting", "running": "running", "done": "done", "failed": "error", "deleted": "deleted"}
        named = {name: counts.get(state, 0) for name, state in known.items()}
        received = sum(counts.values())
        status = "ok" if self.worker.problem is None else "the model can't be loaded"
        uptime = round(time.monotonic() - self._opened, 1)
        return {"status": status, "received": received, **named, "uptime_seconds": uptime, "ready": self.is_ready}

    @property
    def is_ready(self) -> bool:
        """Whether the scanner is warm."""
        return self.worker.ready.is_set()

    def as_json(self) -> dict[str, Any]:
        """What a page must know of the room."""
        limits = self.settings.limits
        return {
            "blind": self.settings.blind,
            "keep_identifiers": self.settings.keep_identifiers,
            "model": self.model.as_json(),
            "research_only": RESEARCH_ONLY,
            "version": __version__,
            "limits": {name: getattr(limits, name) for name in ("upload_bytes", "files", "total_bytes", "pixels")},
            "categories": [{"word": str(word), "meaning": meaning} for word, meaning in MEANINGS.items()],
            "token_required": bool(self.settings.token),
            "lacks": {name: str(error) for name in _NEEDS if (error := lacking(name)) is not None},
            "rule": self.rule.name,
        }

    def _load(self) -> Scanner:
        from lungsight.scanning import Scanner

        return Scanner(
            self.model.package,
            threads=self.settings.threads,
            runtime=self.settings.runtime,
            keep_identifiers=self.settings.keep_identifiers,
        )

    def _take_folders(self) -> None:
        tested = [report.folder.resolve() for report in self.reports]

        def is_of_a_report(path: Path) -> bool:
            return any(path.resolve().is_relative_to(folder) for folder in tested)

        given = [folder for folder in self.settings.folders if folder.resolve() not in tested]
        self.inbox.take_folders(given, self._say, is_of_a_report, lambda: self.worker.stopping)


def lacking(what: str) -> MissingExtraError | None:
    """Why this installation can't do something; None if it can."""
    module, extra = _NEEDS[what]
    if find_spec(module) is not None:
        return None
    return MissingExtraError(module, "is not installed", f"`pip install 'lungsight[serve,{extra}]'` brings it")


def room_of(request: Request) -> Room:
    """The room that a request is for."""
    room: Room = request.app.state.room
    return room


def reader_of(request: Request) -> str:
    """Who asks: the browser's session."""
    return str(getattr(request.state, "reader", "program"))


TheRoom = Annotated[Room, Depends(room_of)]
Reader = Annotated[str, Depends(reader_of)]
