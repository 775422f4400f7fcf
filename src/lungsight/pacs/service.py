"""The service: judges what arrives, sends the results, and starts again where it was killed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

from pydicom import dcmread

from lungsight._cores import cores
from lungsight.dicom_results.objects import USUAL, Kind, ResultObjects
from lungsight.errors import LungsightError
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding, Status
from lungsight.pacs.queue import DONE, MOST_ATTEMPTS, Sent, State, Waiting
from lungsight.pacs.sending import Archive, NoCommitmentError, SendingError
from lungsight.pacs.store import Store
from lungsight.reading import ImageFile
from lungsight.scanning.scan import scan_and_finish

_log = logging.getLogger("lungsight.pacs")

#: Seconds between two looks at the queue.
_PAUSE = 0.3
#: Seconds without anything to do after which everything is done.
_QUIET = 6
#: Objects are sent for so many images between two looks at what else is due.
_AT_ONCE = 20


class Judge:
    """Analyses the images that wait, and makes their result objects.

    Args:
        store: where they wait.
        detector: it keeps headers.
        kinds: the objects to make.
        threads: that read, predict and draw.
    """

    def __init__(self, store: Store, detector: Detector, kinds: Sequence[Kind] = USUAL, threads: int = 0) -> None:
        self._store, self._detector = store, detector
        self._objects, self._threads = ResultObjects(detector, kinds), min(threads or cores(), cores())
        self._at_work: dict[str, Waiting] = {}

    def run(self, stopped: Event) -> None:
        """Judge until ``stopped`` is set."""
        images = self._waiting(stopped)
        with closing(scan_and_finish(images, self._detector, self._finish, threads=self._threads)) as done:
            for _ in done:
                if stopped.is_set():
                    break

    def _waiting(self, stopped: Event) -> Iterator[ImageFile]:
        """The images that wait, one by one, as they come."""
        queue = self._store.queue
        while not stopped.is_set():
            at_work = [one.number for one in list(self._at_work.values())]
            due = queue.due((State.RECEIVED, State.JUDGED), 1, but=at_work)
            if not due:
                stopped.wait(_PAUSE)
            for one in due:
                if queue.begin(one.number) >= MOST_ATTEMPTS:
                    self._give_up(one, "the service died at it again and again")
                    continue
                name = f"image {one.number}"
                self._at_work[name] = one
                yield ImageFile(name, self._store.image(one.name))

    def _finish(self, finding: Finding) -> None:
        """Make the objects of a finding; what fails here is tried again later."""
        waiting = self._at_work[finding.file]
        try:
            self._conclude(waiting, finding)
        except Exception as error:  # one image mustn't stop the others, whatever it does to which library
            _log.error("%s failed: %s", finding.file, type(error).__name__)
            self._store.queue.retry(waiting, f"failed: {type(error).__name__}")
        finally:
            del self._at_work[finding.file]

    def _conclude(self, waiting: Waiting, finding: Finding) -> None:
        queue, number = self._store.queue, waiting.number
        queue.move(number, State.JUDGED)
        if finding.status is Status.ERROR:
            return self._give_up(waiting, _without_name(finding, " ".join(finding.reasons)))
        if finding.status is Status.REFUSED:
            return self._pass_by(waiting, " ".join(finding.reasons))
        try:
            made = self._objects.of(finding)
        except LungsightError as problem:
            return self._give_up(waiting, f"{problem.problem}.")
        self._store.keep_results(waiting.name, ((str(one.kind), one.as_bytes()) for one in made))
        queue.made(number, [Sent(str(one.dataset.SOPClassUID), one.uid) for one in made])
        _log.info("%s judged in %.1f s: %s made", finding.file, finding.seconds, ", ".join(one.kind for one in made))
        return None

    def _pass_by(self, waiting: Waiting, reason: str) -> None:
        _log.info("image %d passed by: %s", waiting.number, reason)
        self._store.finish(waiting, State.PASSED_BY, reason)

    def _give_up(self, waiting: Waiting, reason: str) -> None:
        _log.error("image %d given up: %s", waiting.number, reason)
        self._store.finish(waiting, State.GIVEN_UP, reason)


class Sender:
    """Sends the results that wait, and asks whether the archive holds them.

    Attributes:
        store: where they wait.
    """

    def __init__(self, store: Store, archive: Archive) -> None:
        self.store, self._archive = store, archive

    def run(self, stopped: Event, pause: float = _PAUSE) -> None:
        """Send until ``stopped`` is set."""
        while not stopped.is_set():
            if not self.step():
                stopped.wait(pause)

    def step(self) -> bool:
        """Send and ask what is due; whether there was anything."""
        due = self.store.queue.due((State.MADE, State.SENT), _AT_ONCE)
        for one in due:
            try:
                self._send(one) if one.state is State.MADE else self._ask(one)
            except SendingError as problem:
                _log.warning("image %d: the archive %s", one.number, problem)
                self.store.queue.retry(one, f"the archive {problem}", for_ever=True)
            except Exception as error:  # one image mustn't stop the others
                _log.error("image %d failed: %s", one.number, type(error).__name__)
                self.store.queue.retry(one, f"failed: {type(error).__name__}", for_ever=True)
        return bool(due)

    def _send(self, waiting: Waiting) -> None:
        objects = [_read(path) for path in self.store.results(waiting.name)]
        delivered = self._archive.send(objects)
        for kind in delivered.left_out:
            _log.warning("image %d: the archive takes no %s", waiting.number, kind)
        if not delivered.objects:
            raise SendingError("takes none of the result objects")
        self.store.queue.sent(waiting.number, delivered.objects)
        _log.info("image %d: %d objects sent", waiting.number, len(delivered.objects))

    def _ask(self, waiting: Waiting) -> None:
        """Whether the archive holds the objects: done, or sent again, or asked again."""
        queue, transaction = self.store.queue, f"2.25.{uuid.uuid4().int}"
        objects, results = queue.objects(waiting.number), self.store.results(waiting.name)
        queue.asked(waiting.number, transaction)
        try:
            held = self._archive.holds(objects, _study_of(results), transaction)
        except NoCommitmentError:
            return finish(self.store, waiting, State.TAKEN)
        if held is not None:
            return conclude(self.store, waiting, held=held)
        if waiting.attempts + 1 >= MOST_ATTEMPTS:  # it took them, and never reported
            return queue.move(waiting.number, State.MADE)
        return queue.retry(waiting, "", for_ever=True)


def conclude(store: Store, waiting: Waiting, *, held: bool) -> None:
    """What an archive's report means for an image: it is done, or its objects are sent again."""
    if held:
        finish(store, waiting, State.COMMITTED)
    else:
        _log.warning("image %d: the archive doesn't hold its objects, which are sent again", waiting.number)
        store.queue.move(waiting.number, State.MADE)


def finish(store: Store, waiting: Waiting, state: State) -> None:
    """Nothing more happens to an image: its files are removed."""
    store.finish(waiting, state)
    _log.info("image %d %s", waiting.number, state)


def serve(
    judge: Judge, sender: Sender, receive: Callable[[Event], None], stopped: Event, *, until_empty: bool = False
) -> None:
    """Run everything until ``stopped`` is set, Ctrl-C, or an error of a part that can't go on.

    Args:
        judge: runs in this thread.
        sender: runs in its own.
        receive: takes images, in its own thread.
        stopped: ends it.
        until_empty: end when images have stopped coming and everything is done.
    """
    problems: list[BaseException] = []
    threads = [Thread(target=_run, args=(work, stopped, problems), daemon=True) for work in (sender.run, receive)]
    for thread in threads:
        thread.start()
    if until_empty:
        Thread(target=_stop_when_empty, args=(sender.store, stopped), daemon=True).start()
    try:
        judge.run(stopped)
    finally:
        stopped.set()
        for thread in threads:
            thread.join(timeout=60)
    for problem in problems:
        raise problem


def _run(work: Callable[[Event], None], stopped: Event, problems: list[BaseException]) -> None:
    try:
        work(stopped)
    except BaseException as problem:  # raised again in the main thread
        problems.append(problem)
        stopped.set()


def _stop_when_empty(store: Store, stopped: Event) -> None:
    """Stop when nothing has waited for some seconds, in which a receiver looks for more."""
    quiet = 0
    while quiet < _QUIET and not stopped.wait(1):
        quiet = quiet + 1 if not any(store.queue.count(state) for state in State if state not in DONE) else 0
    stopped.set()


def _read(path: Path) -> tuple[Sent, bytes]:
    data = path.read_bytes()
    header = dcmread(BytesIO(data), specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
    return Sent(str(header.SOPClassUID), str(header.SOPInstanceUID)), data


def _study_of(results: Sequence[Path]) -> str:
    if not results:
        return ""
    return str(dcmread(results[0], specific_tags=["StudyInstanceUID"], stop_before_pixels=True).StudyInstanceUID)


def _without_name(finding: Finding, text: str) -> str:
    """A reason without the name that it begins with."""
    return text.removeprefix(f"{finding.file}: ")
