"""Images as they arrive in folders, each once it has fully arrived."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lungsight.faults import UnreadableImage
from lungsight.reading import ImageFile, walk_images

Found = ImageFile | UnreadableImage

#: How often the folders are looked at, and how long a file must have stayed as it is.
SECONDS = 2.0


@dataclass(frozen=True)
class _State:
    """Size and time of change of a file: what a copy that is still running keeps changing."""

    size: int
    changed: int


@dataclass
class _Seen:
    """What was found in the folders so far."""

    passed_on: dict[tuple[str, int | None], _State | None] = field(default_factory=dict)
    growing: dict[str, _State] = field(default_factory=dict)


def arrivals(
    paths: Sequence[Path | str], *, seconds: float = SECONDS, wait: Callable[[float], None] = time.sleep
) -> Iterator[Found]:
    """What lies in ``paths``, and then, for ever, what arrives there.

    A file is passed on when it has been looked at twice, ``seconds`` apart, with the same size and time of change: a
    copy that is under way is left alone. One that changes later is passed on again. Many programs write under another
    name first; names that begin with a dot or end with ``.part``, ``.tmp`` or ``.crdownload`` aren't images yet.
    """
    seen = _Seen()
    while True:
        yield from _ripe(paths, seen)
        wait(seconds)


def _ripe(paths: Sequence[Path | str], seen: _Seen) -> Iterator[Found]:
    there = [Path(path) for path in paths]
    for found in walk_images([path for path in there if path.exists()]):
        if isinstance(found, UnreadableImage):
            if os.path.lexists(found.subject) and not Path(found.subject).is_dir():
                yield from _once((found.subject, None), None, found, seen)
        elif not _is_on_its_way(found.path):
            state = _state(found.path)
            if state is not None and seen.growing.get(str(found.path)) == state:
                yield from _once((str(found.path), found.member), state, found, seen)
            elif state is not None and found.member in (None, 0):
                seen.growing[str(found.path)] = state


def _once(key: tuple[str, int | None], state: _State | None, found: Found, seen: _Seen) -> Iterator[Found]:
    if key not in seen.passed_on or seen.passed_on[key] != state:
        seen.passed_on[key] = state
        yield found


def _state(path: Path) -> _State | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _State(status.st_size, status.st_mtime_ns)


def _is_on_its_way(path: Path) -> bool:
    return path.name.startswith(".") or path.suffix.lower() in (".part", ".tmp", ".crdownload", ".filepart")
