"""What comes into the room: files, zips and folders, each image once, under the sha256 of its bytes.

A file is an image of the room once it is synced in the store and its row is committed; then it is acknowledged.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import IO

from lungsight.errors import LungsightError, UnreadableImageError, printable
from lungsight.reading import ImageFile, archives, walk_images
from lungsight.reading.formats import HEAD_BYTES, Format, recognise
from lungsight.reading.limits import MAX_BYTES, MAX_PIXELS
from lungsight.reading.no_image import kind_if_no_image
from lungsight.reading.reader import NOT_AN_IMAGE
from lungsight.room.store import WAITING, Arrival, Store

_LONGEST_NAME = 255
#: What the disk keeps free.
_SPARE_BYTES = 256 * 2**20


class TooMuchError(LungsightError):
    """An upload that is larger than the room takes, in bytes or in files."""


class DiskFullError(LungsightError):
    """There is no room on the disk for another image."""


@dataclass(frozen=True)
class Limits:
    """What the room takes at most.

    Attributes:
        upload_bytes: of one request.
        files: images of one archive, and of a request for phantoms ten times fewer.
        total_bytes: of the members of one archive, unpacked.
        pixels: of an image.
        seconds: for the sending of one request.
        images: in the room.
    """

    upload_bytes: int = 2 * 2**30
    files: int = 5_000
    total_bytes: int = 16 * 2**30
    pixels: int = MAX_PIXELS
    seconds: float = 900.0
    images: int = 200_000


@dataclass
class Taken:
    """What became of the files of one request; each has a name that only this answer gives."""

    images: list[dict[str, str | None]] = field(default_factory=list)
    already: list[dict[str, str | None]] = field(default_factory=list)
    passed_over: list[dict[str, str]] = field(default_factory=list)

    @property
    def new(self) -> list[str]:
        """The ids of the images that weren't here."""
        return [str(image["id"]) for image in self.images]


class Incoming:
    """A file that is being received."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.path = store.incoming / secrets.token_hex(16)
        self._file: IO[bytes] = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._limits, self.size = limits, 0
        self.digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Take more of it. Raises TooMuchError."""
        self.size += len(chunk)
        if self.size > self._limits.upload_bytes:
            limit = f"limit {self._limits.upload_bytes // 2**20} MiB"
            raise TooMuchError("the upload", f"has too many bytes ({limit})", "send each file by itself")
        self.digest.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        """Nothing more comes; what came is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Leave nothing of it."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Inbox:
    """Takes images into a store.

    Args:
        store: where they are kept.
        keep_identifiers: names of files and patients are kept.
        limits: what is taken at most.
        arrived: is called when images wait.
    """

    def __init__(
        self, store: Store, *, keep_identifiers: bool = False, limits: Limits = Limits(), arrived: Callable[[], None]
    ) -> None:
        self._store, self._keep, self.limits, self._arrived = store, keep_identifiers, limits, arrived

    def receive(self) -> Incoming:
        """A new file to write to. Raises DiskFullError."""
        self._refuse_if_full()
        return Incoming(self._store, self.limits)

    def take(self, incoming: Incoming, name: str) -> Taken:
        """Take what was received: an image, an archive of images, or a file beside images.

        Args:
            incoming: the file; it is gone afterwards.
            name: the sender's, of which only the ending counts.

        Raises:
            TooMuchError: an archive with too much in it.
            DiskFullError: there is no room for it.
        """
        incoming.finish()
        taken, name = Taken(), _last_part(name)
        try:
            head = ImageFile(name, incoming.path).read_head(HEAD_BYTES)
            if recognise(head) is Format.ZIP:
                self._take_archive(incoming.path, name, taken)
            elif incoming.size > MAX_BYTES:
                problem = f"has more than {MAX_BYTES // 2**20} MiB"
                raise TooMuchError("the file", problem, "no radiograph needs as many")
            else:
                self._take_file(ImageFile(name, incoming.path), head, taken)
        finally:
            incoming.discard()
            archives.close_all()
        if taken.images:
            self._arrived()
        return taken

    def take_folders(
        self,
        paths: Iterable[Path],
        say: Callable[[str], None],
        skip: Callable[[Path], bool],
        stopped: Callable[[], bool],
    ) -> None:
        """Take every image in folders, files and archives of this machine, one after the other.

        Args:
            paths: what to read.
            say: is called with a sentence about what couldn't be read, and about what was passed over.
            skip: whether a file is none of the room's.
            stopped: whether to end now.
        """
        passed: Counter[str] = Counter()
        for found in walk_images(paths, passed_over=passed, leave=lambda path, _: skip(path)):
            if stopped():
                return
            try:
                if isinstance(found, UnreadableImageError):
                    raise found
                self._refuse_if_full()
                if recognise(found.read_head(HEAD_BYTES)) is None:
                    raise UnreadableImageError(found.name, *NOT_AN_IMAGE)
                if not self._keep_image(found.read_bytes(), found, arrived=found.arrived())[1]:
                    self._arrived()
            except LungsightError as problem:
                say(str(problem))
        if passed:
            say(f"Passed over: {', '.join(f'{n} × {kind}' for kind, n in passed.most_common())}.")

    def take_phantom(self, png: bytes, words: str) -> tuple[dict[str, str | None], bool]:
        """Take a phantom, with what it shows; its entry, and whether it was here already."""
        self._refuse_if_full()
        entry, there = self._keep_image(png, ImageFile(words, self._store.folder), phantom=words)
        self._arrived()
        return entry, there

    def _take_archive(self, path: Path, name: str, taken: Taken) -> None:
        for found in self._members(path, name, taken):
            try:
                head = found.read_head(HEAD_BYTES)
                if recognise(head) is Format.ZIP:
                    problem, hint = "an archive inside an archive is not read", "unpack the outer one first"
                    raise UnreadableImageError(found.name, problem, hint)
                self._take_file(found, head, taken)
            except UnreadableImageError as problem:
                taken.passed_over.append({"name": found.name, "why": f"{problem.problem}; {problem.hint}."})

    def _members(self, path: Path, name: str, taken: Taken) -> Iterator[ImageFile]:
        """The members of an archive; one that can't be read is passed over. Raises TooMuchError."""
        try:
            members = [
                ImageFile(member.partition("!/")[2], path, index)
                for member, index in archives.members(path)
                if "__MACOSX" not in member and not member.rpartition("/")[2].startswith("._")
            ]
            total = sum(member.size() for member in members)
        except UnreadableImageError as problem:
            taken.passed_over.append({"name": name, "why": f"{problem.problem}; {problem.hint}."})
            return
        if len(members) > self.limits.files or total > self.limits.total_bytes:
            held = f"holds {len(members):,} files of {total / 2**30:.1f} GiB, more than are taken at once"
            raise TooMuchError("the archive", held, "send its files by themselves")
        yield from members

    def _take_file(self, file: ImageFile, head: bytes, taken: Taken) -> None:
        try:
            kind = kind_if_no_image(file, head)
            if kind is not None:
                taken.passed_over.append({"name": file.name, "why": kind})
                return
            if recognise(head) is None:  # it may be any text, with names in it
                raise UnreadableImageError(file.name, *NOT_AN_IMAGE)
            entry, there = self._keep_image(file.read_bytes(), file)
        except UnreadableImageError as problem:
            taken.passed_over.append({"name": file.name, "why": f"{problem.problem}; {problem.hint}."})
            return
        (taken.already if there else taken.images).append(entry)

    def _keep_image(
        self, data: bytes, file: ImageFile, *, phantom: str | None = None, arrived: datetime | None = None
    ) -> tuple[dict[str, str | None], bool]:
        """Put an image into the store; its entry, and whether it was there. Raises UnreadableImageError."""
        from lungsight.reading.dicom_names import stated_in, without_names  # pydicom, which a page needn't wait for

        stated = stated_in(data)
        image = hashlib.sha256(data).hexdigest()
        kept = data if self._keep else without_names(file.name, data)
        name = file.name[-_LONGEST_NAME:] if self._keep and not phantom else None
        patient = None if stated.patient_id is None else self._keyed(stated.patient_id)
        arrival = Arrival(image, len(kept), name, patient, stated.study_date, phantom)
        state, there = self._store.accept(self._synced(kept, arrived), arrival)
        return {"id": image, "state": state if there else WAITING, "name": file.name}, there

    def _synced(self, data: bytes, arrived: datetime | None) -> Path:
        """A new file of the store with these bytes, on the disk; ``arrived`` is when it was last changed."""
        incoming = Incoming(self._store, self.limits)
        try:
            incoming.write(data)
            incoming.finish()
            if arrived is not None:
                os.utime(incoming.path, (arrived.timestamp(), arrived.timestamp()))
        except BaseException:
            incoming.discard()
            raise
        return incoming.path

    def _keyed(self, patient: str) -> str:
        """A patient's digest, which only this store can make: IDs are short enough to be tried out."""
        return hmac.new(self._store.key, f"patient\0{patient}".encode("utf-8", "replace"), "sha256").hexdigest()[:16]

    def _refuse_if_full(self) -> None:
        if self._store.free_bytes() < _SPARE_BYTES:
            raise DiskFullError("the store's disk", "is full", "make room, or delete images that are done")
        if self._store.size() >= self.limits.images:
            raise TooMuchError("the room", f"holds {self.limits.images:,} images", "delete some, or open another")


def _last_part(name: str) -> str:
    """A sender's file name without its folders, as one line that can be shown."""
    return printable(PureWindowsPath(name).name)[-_LONGEST_NAME:] or "file"
