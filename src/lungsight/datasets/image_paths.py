"""The files that a table's cells name: paths of another system, and the same file under several spellings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PureWindowsPath

from lungsight.errors import printable

#: How many of a table's paths are tried to find where its folders begin here.
_TRIED = 40


def absolute_paths(values: Sequence[str], root: Path) -> tuple[list[str], str]:
    r"""Return each path as an absolute one, and a sentence where paths of Windows were looked for elsewhere.

    Empty cells stay empty. Elsewhere than on Windows, ``folder\a.png`` is ``folder/a.png``, unless there is a file of
    that very name. Of ``C:\films\a.png`` or ``\\server\share\a.png`` leading folders are dropped, as many from
    each, until most of the files are found in ``root``.
    Relative paths start at ``root``.
    """
    parts = {value: own for value in dict.fromkeys(values) if (own := _parts_of_windows(value, root))}
    foreign = {value: own for value, own in parts.items() if PureWindowsPath(value).anchor}
    dropped = _dropped(list(foreign.values()), root)
    places = {value: str((root / value).absolute()) if value else "" for value in dict.fromkeys(values)}
    for value, own in parts.items():
        kept = own[min(dropped, len(own) - 1) :] if value in foreign else own
        places[value] = str(root.joinpath(*kept).absolute())
    return [places[value] for value in values], _notice(foreign, places)


def _parts_of_windows(value: str, root: Path) -> tuple[str, ...]:
    """The folders and the name in a path written as on Windows, without drive or share; none of any other path."""
    if os.name == "nt" or "\\" not in value or os.path.lexists(root / value):
        return ()
    path = PureWindowsPath(value)
    return path.parts[1:] if path.anchor else path.parts


def _dropped(paths: Sequence[tuple[str, ...]], root: Path) -> int:
    """How many leading folders to drop so that most files are there; none where no file is found either way."""
    tried = paths[:: max(1, len(paths) // _TRIED)]
    found = [
        sum(root.joinpath(*own[min(n, len(own) - 1) :]).is_file() for own in tried)
        for n in range(max((len(own) for own in tried), default=0))
    ]
    return found.index(max(found)) if found else 0


def _notice(foreign: dict[str, tuple[str, ...]], places: dict[str, str]) -> str:
    if not foreign:
        return ""
    first = next(iter(foreign))
    count = f"{len(foreign):,} paths are" if len(foreign) > 1 else "1 path is"
    return f"{count} of Windows (first: {printable(first)}); looked for at {printable(places[first])}."


def file_keys(paths: Sequence[str]) -> list[str]:
    """Return the same text for every spelling of a file's path: with ``..``, and by a link to its folder."""

    @cache
    def real(folder: str) -> str:
        return os.path.realpath(folder)

    return [os.path.join(real(os.path.dirname(path)), os.path.basename(path)) for path in paths]
