"""Records of a training: the log, tables that grow by the epoch, what is trained where, and library versions."""

from __future__ import annotations

import csv
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from lungsight._files import write_whole
from lungsight.errors import RecipeError

_LIBRARIES = (
    "lungsight", "torch", "torchvision", "fastai", "timm", "numpy", "pandas", "onnxruntime", "pydicom", "pillow",
)  # fmt: skip


def command_line() -> str:
    """The command that runs now, as a person would type it again."""
    return shlex.join(["lungsight", *sys.argv[1:]])


def installed_versions() -> dict[str, str]:
    """Version of each library that a training depends on, as far as they are installed."""
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def log_to(path: Path, console: Console, *, writes: bool) -> Callable[[str], None]:
    """A function that writes a sentence to the console and, if this process ``writes``, with its time to ``path``."""

    def write(sentence: str) -> None:
        if writes:
            with path.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n")

    def log(sentence: str) -> None:
        write(sentence)
        console.print(sentence, highlight=False, markup=False)

    write(command_line())
    return log


def claim(path: Path, stated: Mapping[str, object]) -> None:
    """Write down, before it starts, what is trained in the folder of ``path``.

    Raises:
        RecipeError: something else was trained there.
    """
    content = json.dumps(stated, indent=2) + "\n"
    if not path.is_file():
        write_whole(path, content)
    elif json.loads(path.read_text("utf-8")) != json.loads(content):
        problem = "holds a training of another recipe, seed or manifest"
        raise RecipeError(path.parent, problem, "choose another folder, or remove it")


def append_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Add rows to a CSV file, which begins with ``header``."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows] if new else rows)


def truncate(path: Path, epochs: int) -> None:
    """Remove the rows of a CSV file from epoch number ``epochs`` on: they will be trained again."""
    if not path.is_file():
        return
    header, *rows = path.read_text("utf-8").splitlines()
    names = header.split(",")
    column = names.index("epoch")
    kept = [row for row in rows if row.count(",") == len(names) - 1 and int(row.split(",")[column]) < epochs]
    if kept:
        write_whole(path, "\n".join([header, *kept]) + "\n")
    else:
        path.unlink()
