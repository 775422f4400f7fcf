"""What each image tells without a model: its sha256 and its header. Read once, kept, taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from lungsight._cores import cores
from lungsight._files import FileState, file_state
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.reading import read_radiograph

_BATCH = 32


@dataclass(frozen=True)
class CachedStatistics:
    """``header`` is empty, and ``problem`` a sentence, where the image can't be read."""

    sha256: str = ""
    header: tuple[float, ...] = ()
    problem: str = ""

    @classmethod
    def of(cls, path: str) -> CachedStatistics:
        try:
            radiograph = read_radiograph(Path(path))
        except UnreadableImageError as problem:
            return cls(problem=str(problem))
        return cls(radiograph.sha256, tuple(round(float(value), 6) for value in ImageStatistics.of(radiograph)))


def read_image_statistics(
    paths: Sequence[str], *, progress: Progress | None = None, cache: Path | None = None
) -> list[CachedStatistics]:
    """Of each image in ``paths``, in their order. With ``cache``, a file that grows as images are read, an
    interrupted call goes on where it stopped, and a file that hasn't changed isn't read again."""
    keys = [file_state(path) for path in paths]
    known = dict(_kept(cache)) if cache else {}
    waiting = list(dict.fromkeys(key for key in keys if key not in known))
    task = progress.add_task("Reading images", total=len(waiting)) if progress else None
    with ThreadPoolExecutor(cores()) as readers:
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            read = dict(zip(batch, readers.map(CachedStatistics.of, [path for path, *_ in batch]), strict=True))
            known |= read
            if cache:
                _keep(cache, read)
            if progress and task is not None:
                progress.advance(task, len(batch))
    return [known[key] for key in keys]


def _kept(cache: Path) -> Iterator[tuple[FileState, CachedStatistics]]:
    """What ``cache`` holds; a line cut short by a kill, or of other features, is passed over."""
    for text in cache.read_text("utf-8").splitlines() if cache.is_file() else ():
        try:
            path, size, changed, sha256, header = json.loads(text)
        except ValueError:
            continue
        if len(header) == len(ImageStatistics._fields):
            yield (path, size, changed), CachedStatistics(sha256, tuple(header))


def _keep(cache: Path, read: dict[FileState, CachedStatistics]) -> None:
    """Add what was read. Starts with a line's end, which closes a line that a kill cut short."""
    lines: list[Any] = [[*key, one.sha256, one.header] for key, one in read.items() if not one.problem]
    with cache.open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(map(json.dumps, lines)) + "\n" if lines else "")
