"""What a detector says of every image of a manifest: judged once, kept, and taken up again after an interruption."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import softmax

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.outcomes import FAULT, PREDICTION, SHA256, logit_column, probability_column
from lungsight.faults import UnreadableImage
from lungsight.package import ModelPackage
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph


@dataclass(frozen=True)
class Judgement:
    """What the model says of one file; ``fault`` is the sentence why it couldn't be read."""

    sha256: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    logits: dict[str, float] = field(default_factory=dict)
    fault: str = ""


class Judge:
    """A package ready to judge images."""

    def __init__(self, package: ModelPackage) -> None:
        self._network = package.network()
        self._description = package.description
        self.classes = package.description.classes
        self.model = package.id

    def predict(self, radiograph: Radiograph) -> Judgement:
        seen = self._description.preprocessing.apply(radiograph.pixels)
        logits = self._network.run(seen[None, None]).logits[0].astype(np.float64)
        probabilities = softmax(logits / self._description.calibration.temperature)
        return Judgement(
            radiograph.sha256,
            dict(zip(self.classes, probabilities.tolist(), strict=True)),
            dict(zip(self.classes, logits.tolist(), strict=True)),
        )


def predict_manifest(
    detector: Judge, manifest: Manifest, *, progress: Progress | None = None, cache: Path | None = None
) -> pd.DataFrame:
    """The manifest's table with, for each image, ``sha256``, a probability and a logit per class, ``prediction``
    (the most probable class) and ``fault`` (why a file couldn't be read; then the rest is empty).

    With ``cache``, a file that grows as images are judged, an interrupted call is taken up where it stopped, and
    images are not judged again as long as neither file nor model has changed.
    """
    paths = manifest.table["path"].tolist()
    kept = _kept(cache, detector.model) if cache else {}
    task = progress.add_task("Judging images", total=len(paths)) if progress else None
    judged = []
    with _rewritten(cache, detector.model, kept) as out:
        for path in paths:
            key = _key(path)
            judgement = kept.get(key) or judge(detector, Path(path))
            if key not in kept and not judgement.fault:
                out.write(_line(key, judgement))
                out.flush()
                kept[key] = judgement
            judged.append(judgement)
            if progress and task is not None:
                progress.advance(task)
    return _as_table(manifest.table, judged, detector.classes)


def judge(detector: Judge, path: Path) -> Judgement:
    """Read one file and judge it."""
    try:
        radiograph = read_radiograph(path)
    except UnreadableImage as fault:
        return Judgement(fault=str(fault))
    return detector.predict(radiograph)


def progress_bar() -> Progress:
    """How the progress of judging is shown."""
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def _as_table(images: pd.DataFrame, judged: list[Judgement], classes: tuple[str, ...]) -> pd.DataFrame:
    table = images.copy()
    table[SHA256] = [j.sha256 for j in judged]
    for name in classes:
        table[probability_column(name)] = [j.probabilities.get(name, np.nan) for j in judged]
    for name in classes:
        table[logit_column(name)] = [j.logits.get(name, np.nan) for j in judged]
    table[PREDICTION] = [max(classes, key=j.probabilities.__getitem__) if j.probabilities else "" for j in judged]
    table[FAULT] = [j.fault for j in judged]
    return table


def _kept(cache: Path, model: str) -> dict[str, Judgement]:
    """The judgements of this very model in ``cache``; a line cut short by a kill, and all after it, is dropped."""
    lines: list[dict[str, Any]] = []
    for text in cache.read_text("utf-8").splitlines() if cache.is_file() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    if not lines or lines[0] != {"model": model}:
        return {}
    return {line.pop("key"): Judgement(**line) for line in lines[1:]}


@contextmanager
def _rewritten(cache: Path | None, model: str, kept: Mapping[str, Judgement]) -> Iterator[IO[str]]:
    """``cache`` holding the model's name and what is kept, one JSON object a line, open for more."""
    if cache is None:
        yield io.StringIO()
        return
    partial = cache.with_name(cache.name + ".part")
    lines = [json.dumps({"model": model}) + "\n", *(_line(key, judgement) for key, judgement in kept.items())]
    partial.write_text("".join(lines), "utf-8")
    partial.replace(cache)
    with cache.open("a", encoding="utf-8") as out:
        yield out


def _line(key: str, judgement: Judgement) -> str:
    return json.dumps({"key": key} | asdict(judgement)) + "\n"


def _key(path: str) -> str:
    """A file as it is now: its path, size and time of change."""
    try:
        state = os.stat(path)
    except OSError:
        return path
    return f"{path}|{state.st_size}|{state.st_mtime_ns}"
