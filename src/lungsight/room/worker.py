"""One warm scanner, and the threads that scan what waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lungsight._cores import cores
from lungsight.room.events import Events
from lungsight.room.store import DONE, ERROR, Claim, Store

if TYPE_CHECKING:
    from lungsight.inference import Finding
    from lungsight.scanning import Scanner
    from lungsight.triage import Rule

#: Longest side of the picture in the worklist.
PICTURE_SIDE = 256
_TICK = 1.0


class Worker:
    """Scans the images of a store, each once.

    Attributes:
        ready: set once the scanner is warm.
        problem: why it never will be; None if it will.
    """

    def __init__(
        self, store: Store, events: Events, load: Callable[[], Scanner], rule: Rule, model: str,
        target: str, threads: int = 0,
    ) -> None:  # fmt: skip
        """Nothing begins before :meth:`start`.

        Args:
            store: whose images.
            events: what it tells.
            load: gives the scanner; called in a thread.
            rule: by which urgency is reckoned.
            model: the package's id.
            target: its target class.
            threads: images at the same time; 0: one a core.
        """
        self._store, self._events, self._load, self._rule, self._model = store, events, load, rule, model
        self._target = target
        self._count = min(threads or cores(), cores())
        self._wake = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._scanner: Scanner | None = None
        self.ready = threading.Event()
        self.problem: Exception | None = None

    def start(self) -> None:
        """Begin to warm up, and then to scan."""
        self._begin("warming-up", self._warm_up)

    def arrived(self) -> None:
        """Images wait."""
        with self._wake:
            self._wake.notify_all()

    def stop(self) -> None:
        """Finish the images that are under way, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def stopping(self) -> bool:
        """Whether the room closes."""
        return self._stopping

    @property
    def scanner(self) -> Scanner | None:
        """The scanner; None until it is warm."""
        return self._scanner

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _warm_up(self) -> None:
        try:
            self._scanner = self._load()
            for image in self._store.resume(self._model):
                self._give_up(image)
        except Exception as problem:  # the pages stay, and say why nothing is scanned
            self.problem = problem
            return
        self.ready.set()
        self._events.send("ready")
        for number in range(self._count):
            self._begin(f"scanning-{number}", self._scan)

    def _scan(self) -> None:
        while not self._stopping:
            claim = self._store.claim()
            if claim is None:
                with self._wake:
                    if not self._stopping:
                        self._wake.wait(_TICK)
                continue
            self._events.send("image", id=claim.id, state="running")
            self._finish(claim, self._finding(claim))

    def _finding(self, claim: Claim) -> Finding:
        from lungsight.inference.finding import Finding, Status
        from lungsight.reading import ImageFile

        assert self._scanner is not None
        begun = time.perf_counter()
        try:
            return self._scanner.scan(ImageFile(claim.id, claim.path))
        except Exception as error:  # one image must not stop the others
            reason = f"{claim.id}: scanning it ended in an error ({type(error).__name__}); send the file to us."
            detector = self._scanner.detector
            return Finding(
                claim.id, Status.ERROR, None, reasons=(reason,), model=self._model, model_grade=detector.grade,
                seconds=time.perf_counter() - begun,
            )  # fmt: skip

    def _give_up(self, image: str) -> None:
        from lungsight.inference.finding import Finding, Status

        reason = f"{image}: scanning it ended the program several times; it isn't tried again."
        finding = Finding(image, Status.ERROR, None, reasons=(reason,), model=self._model)
        self._finish(Claim(image, self._store.path(image), ""), finding)

    def _finish(self, claim: Claim, finding: Finding) -> None:
        columns = columns_of(finding, self._rule, self._target)
        if self._store.finish(claim.id, columns, kept_of(finding)):
            self._events.send("image", id=claim.id, state=columns["state"])


def columns_of(finding: Finding, rule: Rule, target: str) -> dict[str, Any]:
    """What the worklist sorts and filters by."""
    from lungsight.inference.finding import Status

    record = finding.as_json()
    points, another_kind = urgency(record, rule, target)
    placement = finding.placement
    return {
        "state": ERROR if finding.status is Status.ERROR else DONE,
        "model": finding.model,
        "status": record["status"],
        "decision": record["verdict"],
        "probability": record["probabilities"].get(target),
        "view": record["view"],
        "view_from": record["view_from"],
        "age": finding.age,
        "sex": finding.sex,
        "height": None if placement is None else placement.height,
        "width": None if placement is None else placement.width,
        "points": points,
        "another_kind": another_kind,
        "inverted": finding.inverted,
        "arrived": record["arrived"],
    }


def urgency(record: dict[str, Any], rule: Rule, target: str) -> tuple[float, bool]:
    """The points of a finding by the rule, without waiting time, and whether it comes after all others."""
    from lungsight.triage import Case, worklist

    case = Case.model_validate(record).model_copy(update={"arrived": None, "study": None})
    entry = worklist([case], rule, now=datetime.now().astimezone(), target=target)[0]
    return entry.points, case.is_another_kind


def kept_of(finding: Finding) -> dict[str, Any]:
    """What is kept of a finding besides: the line of ``scan --json``, the map, the outline, a small picture."""
    from lungsight.rendering import small_jpeg
    from lungsight.room.outline import polygons

    shown = finding.radiograph
    return {
        "json": json.dumps(finding.as_json(), ensure_ascii=False),
        "map": None if finding.map is None else json.dumps(map_of(finding)),
        "outline": json.dumps([] if finding.outline is None else polygons(finding.outline)),
        "picture": None if shown is None else small_jpeg(shown, PICTURE_SIDE),
    }


def map_of(finding: Finding) -> dict[str, Any]:
    """The evidence on the network's own grid, and the part of the image that the grid covers, in fractions."""
    from lungsight.scanning.card import full_scale

    drawn, placement = finding.map, finding.placement
    assert drawn is not None
    assert placement is not None
    region = drawn.preprocessing.region(placement.height, placement.width, drawn.box)
    across, down = placement.width, placement.height
    box = [region.left / across, region.top / down, region.right / across, region.bottom / down]
    return {
        "values": [[round(float(value), 6) for value in row] for row in drawn.values],
        "bias": round(drawn.bias, 6),
        "mean": round(drawn.mean, 6),
        "margin": round(drawn.margin, 6),
        "full": round(full_scale([drawn]), 6),
        "box": [round(edge, 6) for edge in box],
    }
