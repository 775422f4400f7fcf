"""Find the images in files, folders with everything below them, and zip archives."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from lungsight.errors import UnreadableImageError
from lungsight.reading import archives
from lungsight.reading.files import ImageFile, status_of, unreachable
from lungsight.reading.formats import HEAD_BYTES, Format, has_image_ending, recognise
from lungsight.reading.no_image import kind_if_no_image

Found = ImageFile | UnreadableImageError
Leave = Callable[[Path, os.stat_result], bool]
_Identity = tuple[int, int]


def _never(path: Path, status: os.stat_result) -> bool:
    return False


def walk_images(
    paths: Iterable[Path | str], *, passed_over: Counter[str] | None = None, leave: Leave = _never
) -> Iterator[Found]:
    """Yield every image of ``paths``, lazily, in a stable order; for one that can't be read, its error.

    A file given by name is always yielded. In folders (links are followed) and zip archives, a file counts if its
    content or its ending is that of an image; others (reports, icons, tables, ``DICOMDIR``) are skipped. A file that
    is reached in several ways is yielded once.

    Args:
        paths: files, folders and zip archives.
        passed_over: receives the number of skipped files by kind (:mod:`lungsight.reading.no_image`).
        leave: whether to skip a file without opening it, by its path and status.
    """
    walk = _Walk(Counter() if passed_over is None else passed_over, leave)
    for path in paths:
        yield from walk.start(Path(path))


@dataclass
class _Walk:
    """The walk, with what it has visited: files by their real path, folders by device and inode."""

    passed_over: Counter[str]
    leave: Leave
    files: set[str] = field(default_factory=set)
    folders: set[_Identity] = field(default_factory=set)
    met_again: bool = False

    def start(self, path: Path) -> Iterator[Found]:
        try:
            status = status_of(path)
        except UnreadableImageError as problem:
            yield problem
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self.or_nothing_found(path, self.folder(path))
        elif self.leave(path, status):
            return
        elif stat.S_ISREG(status.st_mode) and _is_archive(path):
            yield from self.or_nothing_found(path, self.archive(path))
        elif self._is_new(path):
            yield ImageFile.at(path)

    def folder(self, root: Path) -> Iterator[Found]:
        """Depth first, with an explicit stack: a tree may be deeper than Python's recursion limit."""
        stack: list[tuple[Path, tuple[_Identity, ...]]] = [(root, ())]
        while stack:
            path, parents = stack.pop()
            try:
                status = status_of(path)
                if not stat.S_ISDIR(status.st_mode):
                    yield from self.file(path, status)
                    continue
                identity = (status.st_dev, status.st_ino)
                if identity in parents:
                    raise UnreadableImageError(path, "this link leads back to a folder around it", "remove the link")
                if identity in self.folders:
                    self.met_again = True
                    continue
                self.folders.add(identity)
                stack.extend((child, (*parents, identity)) for child in reversed(_children(path)))
            except UnreadableImageError as problem:
                leads_nowhere = isinstance(problem.__cause__, FileNotFoundError)
                if has_image_ending(path.name) or not leads_nowhere:  # a broken link may have led to anything
                    yield problem

    def file(self, path: Path, status: os.stat_result) -> Iterator[Found]:
        """A file in a folder."""
        if not stat.S_ISREG(status.st_mode) or _is_left_by_a_system(path):
            return
        if self.leave(path, status):
            self.met_again = True
            return
        if path.suffix.lower() == ".zip":
            yield from self.archive(path)
        elif self._is_new(path):
            yield from self.if_image(ImageFile.at(path))

    def archive(self, path: Path) -> Iterator[Found]:
        if not self._is_new(path):
            return
        try:
            for name, index in archives.members(path):
                if not _is_left_by_a_system(PurePath(name)):
                    yield from self.if_image(ImageFile(name, path, index))
        except UnreadableImageError as problem:
            yield problem

    def if_image(self, file: ImageFile) -> Iterator[Found]:
        """The file of a folder or an archive, unless it is of another kind."""
        try:
            head = file.read_head(HEAD_BYTES)
            if _is_nested_archive(file, head):
                raise UnreadableImageError(
                    file.name, "an archive inside an archive is not read", "unpack the outer one first"
                )
            kind = kind_if_no_image(file, head)
        except UnreadableImageError as problem:
            yield problem
            return
        if kind is None:
            yield file
        else:
            self.passed_over[kind] += 1

    def or_nothing_found(self, path: Path, walk: Iterator[Found]) -> Iterator[Found]:
        self.met_again = False
        empty = True
        for found in walk:
            empty = False
            yield found
        if empty and not self.met_again:
            yield UnreadableImageError(
                path, "there is no image in it", "give a folder or zip that holds X-ray images"
            )

    def _is_new(self, path: Path) -> bool:
        real = os.path.realpath(path)
        if real in self.files:
            self.met_again = True
            return False
        self.files.add(real)
        return True


def _is_nested_archive(file: ImageFile, head: bytes) -> bool:
    return file.member is not None and file.name.lower().endswith(".zip") and recognise(head) is Format.ZIP


def _is_archive(path: Path) -> bool:
    try:
        return recognise(ImageFile.at(path).read_head(HEAD_BYTES)) is Format.ZIP
    except UnreadableImageError:
        return False  # the reader reports why


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry) for entry in sorted(entries, key=lambda entry: entry.name)]
    except OSError as error:
        raise unreachable(folder, error) from error


def _is_left_by_a_system(path: PurePath) -> bool:
    """Whether macOS left the file: ``._name.png`` beside ``name.png``, or ``__MACOSX`` in a zip."""
    return path.name.startswith("._") or "__MACOSX" in path.parts
