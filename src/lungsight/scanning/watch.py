"""Images as they arrive in folders, each once it has fully arrived."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile, walk_images

Found = ImageFile | UnreadableImageError

#: How often the folders are looked at, and how long a file must have stayed as it is.
SECONDS = 2.0


@dataclass(frozen=True)
class _State:
    """Size and time of change of a file: what a copy that is still running keeps changing."""

    size: int
    changed: int


@dataclass
class _Seen:
    """What the folders held so far. A file is opened when it has settled, and not again until it changes."""

    growing: dict[str, _State] = field(default_factory=dict)
    settled: dict[str, _State] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def leave(self, path: Path, status: os.stat_result) -> bool:
        """Whether there is nothing to do about this file now: it is on its way, or was dealt with."""
        name, state = str(path), _State(status.st_size, status.st_mtime_ns)
        if _is_on_its_way(path) or self.settled.get(name) == state:
            return True
        if self.growing.get(name) != state:
            self.growing[name] = state
            return True
        self.settled[name] = self.growing.pop(name)
        return False


def arrivals(
    paths: Sequence[Path | str],
    *,
    seconds: float = SECONDS,
    wait: Callable[[float], None] = time.sleep,
    passed_over: Counter[str] | None = None,
) -> Iterator[Found]:
    """What lies in ``paths``, and then, for ever, what arrives there.

    A file is passed on when it has been looked at twice, ``seconds`` apart, with the same size and time of change: a
    copy that is under way is left alone. One that changes later is passed on again. Many programs write under another
    name first; names that begin with a dot or end with ``.part``, ``.tmp`` or ``.crdownload`` aren't images yet. The
    folders are asked for names, sizes and times only, which also works on network drives; ``passed_over`` is as for
    :func:`walk_images`.
    """
    seen = _Seen()
    while True:
        there = [path for path in paths if os.path.exists(path)]
        for found in walk_images(there, passed_over=passed_over, leave=seen.leave):
            if isinstance(found, ImageFile) or _is_news(found, seen):
                yield found
        wait(seconds)


def _is_news(problem: UnreadableImageError, seen: _Seen) -> bool:
    """Whether it hasn't been reported: folders without images are waited for, a broken link is reported once."""
    if os.path.exists(problem.subject):
        return not os.path.isdir(problem.subject)
    if problem.subject in seen.told or not _outermost_exists(problem.subject):
        return False
    seen.told.add(problem.subject)
    return True


def _outermost_exists(subject: str) -> bool:
    """Whether it, or the archive it is a member of, is still there."""
    return os.path.lexists(subject) or os.path.exists(subject.partition("!/")[0])


def _is_on_its_way(path: Path) -> bool:
    return path.name.startswith(".") or path.suffix.lower() in (".part", ".tmp", ".crdownload", ".filepart")
