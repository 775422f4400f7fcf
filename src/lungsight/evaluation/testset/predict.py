"""What a detector says of every image of a manifest: judged once, kept, and taken up again after an interruption."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import Progress

from lungsight._cores import cores
from lungsight._files import FileState, file_state, write_whole
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError, printable
from lungsight.evaluation.testset.companions import Companions
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.evaluation.testset.testset import INVERTED, LUNG_FAULTS, REFUSED, UNFAMILIAR, TestSet
from lungsight.inference import Detector, refusals
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.statistics.outcomes import FAULT, PREDICTION, SHA256, Floats32, logit_column, probability_column

_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """What the model says of one file.

    Attributes:
        probabilities, logits: by class.
        header: the image's :class:`ImageStatistics`, empty where it couldn't be read.
        features: float16 [c], what the network's last layer weighs, averaged over the image.
        maps: float16 [k, h, w], the logits region by region.
        fault: the sentence why it couldn't be read or isn't judged.
        lungs: what was found of its lung fields, where they were looked for.
        refused: why the package's gate would refuse it: sentences. It is judged all the same.
        inverted: the gate took it for a negative, and it was judged as a positive.
    """

    sha256: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    logits: Mapping[str, float] = field(default_factory=dict)
    header: tuple[float, ...] = ()
    features: NDArray[np.float16] | None = None
    maps: NDArray[np.float16] | None = None
    problem: str = ""
    lungs: LungMask | None = None
    refused: tuple[str, ...] = ()
    inverted: bool = False

    def as_json(self) -> dict[str, Any]:
        stated = {"sha256": self.sha256, "probabilities": dict(self.probabilities), "logits": dict(self.logits)}
        arrays = {"features": _packed(self.features), "maps": _packed(self.maps)}
        lungs = None if self.lungs is None else self.lungs.as_json()
        beside = {"lungs": lungs, "refused": list(self.refused), "inverted": self.inverted}
        return stated | {"header": [round(v, 6) for v in self.header], "problem": self.problem} | arrays | beside

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> ImagePrediction:
        arrays = {name: _unpacked(stated[name]) for name in ("features", "maps")}
        tuples = {name: tuple(stated[name]) for name in ("header", "refused")}
        lungs = None if stated["lungs"] is None else LungMask.from_json(stated["lungs"])
        return cls(**{**stated, **tuples, **arrays, "lungs": lungs})


def _packed(array: NDArray[np.float16] | None) -> list[Any] | None:
    return None if array is None else [list(array.shape), base64.b64encode(array.tobytes()).decode("ascii")]


def _unpacked(packed: list[Any] | None) -> NDArray[np.float16] | None:
    if packed is None:
        return None
    shape, content = packed
    return np.frombuffer(base64.b64decode(content), dtype=np.float16).reshape(shape)


def predict_manifest(
    detector: Detector, manifest: Manifest, *, progress: Progress | None = None, cache: Path | None = None
) -> pd.DataFrame:
    """The table of :func:`predict_manifest_images`."""
    return predict_manifest_images(detector, manifest, progress=progress, cache=cache).table


def predict_manifest_images(
    detector: Detector,
    manifest: Manifest,
    *,
    progress: Progress | None = None,
    cache: Path | None = None,
    companions: Companions | None = None,
) -> TestSet:
    """Judge every image of ``manifest``. The answer's table is the manifest's with, for each image, ``sha256``, a
    calibrated probability and a logit per class, ``prediction`` (the most probable class) and ``problem`` (why a file
    couldn't be read, or why scanning refuses it whatever the model; then the rest is empty). Of ``companions`` (the
    package's own where None) come ``refused`` and ``inverted``, ``unfamiliar``, ``lung_faults``, each where there is
    who can say it: what the gate would refuse is judged all the same.

    With ``cache``, a file that grows as images are judged, an interrupted call is taken up where it stopped, and
    images aren't judged again as long as neither file nor model has changed. ``detector`` must have been loaded with
    its features.
    """
    beside = Companions.of(detector.package) if companions is None else companions
    keys = [file_state(path) for path in manifest.table["path"]]
    opening = _opening(detector.model, beside)
    kept = _kept(cache, opening) if cache else {}
    waiting = list(dict.fromkeys(key for key in keys if key not in kept))
    task = progress.add_task("Judging images", total=len(waiting)) if progress else None
    with _rewritten(cache, opening, kept) as out:
        for batch in (waiting[i : i + _AT_ONCE] for i in range(0, len(waiting), _AT_ONCE)):
            testset = dict(zip(batch, analyse(detector, [Path(path) for path, *_ in batch], beside), strict=True))
            kept |= testset
            out.writelines(
                _line(key, image_prediction)
                for key, image_prediction in testset.items()
                if not image_prediction.problem
            )
            out.flush()
            if progress and task is not None:
                progress.advance(task, len(batch))
    return _together(detector, manifest.table, [kept[key] for key in keys], beside)


def _together(
    detector: Detector, images: pd.DataFrame, image_predictions: list[ImagePrediction], beside: Companions
) -> TestSet:
    description = detector.description
    features = _stacked([j.features for j in image_predictions])
    table = _as_table(images, image_predictions, description.classes).assign(
        **_said(image_predictions, features, beside)
    )
    return TestSet(
        table=table,
        classes=description.classes,
        target=description.target,
        headers=statistics_table([j.header for j in image_predictions]),
        features=features,
        maps=_stacked([j.maps for j in image_predictions]),
        lungs=tuple(j.lungs for j in image_predictions) if any(j.lungs for j in image_predictions) else (),
    )


def _said(
    image_predictions: list[ImagePrediction], features: Floats32 | None, beside: Companions
) -> dict[str, list[Any]]:
    """The columns of what the companions say."""
    columns: dict[str, list[Any]] = {}
    if beside.examiner.gate is not None:
        columns[REFUSED] = [" ".join(j.refused) for j in image_predictions]
        columns[INVERTED] = [j.inverted for j in image_predictions]
    if beside.find_lungs:
        columns[LUNG_FAULTS] = [" ".join(j.lungs.problems) if j.lungs else "" for j in image_predictions]
    if beside.familiarity is not None and features is not None:
        columns[UNFAMILIAR] = beside.familiarity.is_far(features).tolist()  # NaN, of a file not read, is no distance
    return columns


class _Ready(NamedTuple):
    """A file that was read: what is known of it, and what the network will see of it."""

    known: ImagePrediction
    prepared: Floats32


def analyse(detector: Detector, paths: Sequence[Path], beside: Companions) -> list[ImagePrediction]:
    """Read the files and judge them as one batch."""
    with ThreadPoolExecutor(min(len(paths), cores())) as readers:
        read = list(readers.map(lambda path: _read(detector, beside, path), paths))
    ready = [one for one in read if isinstance(one, _Ready)]
    testset = iter(_predicted(detector, ready))
    return [next(testset) if isinstance(one, _Ready) else one for one in read]


def _read(detector: Detector, beside: Companions, path: Path) -> _Ready | ImagePrediction:
    try:
        radiograph = detector.read(path)
    except UnreadableImageError as problem:
        return ImagePrediction(problem=str(problem))
    if reasons := refusals(radiograph):
        return ImagePrediction(radiograph.sha256, problem=f"{printable(path)}: refused. {' '.join(reasons)}")
    looked = beside.look(radiograph)
    known = ImagePrediction(
        radiograph.sha256,
        header=tuple(float(value) for value in ImageStatistics.of(_whole(radiograph, path))),
        lungs=looked.lungs,
        refused=looked.refused,
        inverted=looked.inverted,
    )
    crop = looked.lungs.crop if looked.lungs else None
    return _Ready(known, detector.description.preprocessing.apply(looked.radiograph.pixels, crop)[None])


def _whole(radiograph: Radiograph, path: Path) -> Radiograph:
    """With every pixel: the detector needs fewer of a large image, its size and sharpness are those of the file."""
    return radiograph if radiograph.file_shape is None else read_radiograph(path)


def _predicted(detector: Detector, ready: Sequence[_Ready]) -> list[ImagePrediction]:
    if not ready:
        return []
    prediction, features = detector.predict_with_features(np.stack([one.prepared for one in ready]))
    classes = detector.description.classes
    return [
        replace(
            one.known,
            probabilities=dict(zip(classes, prediction.probabilities[i].tolist(), strict=True)),
            logits=dict(zip(classes, prediction.logits[i].tolist(), strict=True)),
            features=features[i].astype(np.float16),
            maps=prediction.maps[i].astype(np.float16),
        )
        for i, one in enumerate(ready)
    ]


def statistics_table(headers: Sequence[tuple[float, ...]]) -> pd.DataFrame:
    """One row per image, one column per field of :class:`ImageStatistics`; NaN where an image couldn't be read."""
    missing = (np.nan,) * len(ImageStatistics._fields)
    return pd.DataFrame(
        [header or missing for header in headers], columns=list(ImageStatistics._fields), dtype=np.float64
    )


def _stacked(arrays: Sequence[NDArray[np.float16] | None]) -> Floats32 | None:
    """float32 [n, …], NaN where an image has none; None where none has any."""
    known = next((array for array in arrays if array is not None), None)
    if known is None:
        return None
    stacked = np.full((len(arrays), *known.shape), np.nan, dtype=np.float32)
    for row, array in enumerate(arrays):
        if array is not None:
            stacked[row] = array
    return stacked


def _as_table(images: pd.DataFrame, testset: list[ImagePrediction], classes: tuple[str, ...]) -> pd.DataFrame:
    table = images.copy()
    table[SHA256] = [j.sha256 for j in testset]
    for name in classes:
        table[probability_column(name)] = [j.probabilities.get(name, np.nan) for j in testset]
    for name in classes:
        table[logit_column(name)] = [j.logits.get(name, np.nan) for j in testset]
    table[PREDICTION] = [max(classes, key=j.probabilities.__getitem__) if j.probabilities else "" for j in testset]
    table[FAULT] = [j.problem for j in testset]
    return table


def _kept(cache: Path, opening: Mapping[str, Any]) -> dict[FileState, ImagePrediction]:
    """The judgements of this very model in ``cache``; a line cut short by a kill, and all after it, is dropped."""
    lines: list[Any] = []
    for text in cache.read_text("utf-8").splitlines() if cache.is_file() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    if not lines or lines[0] != opening:
        return {}
    return {tuple(key): ImagePrediction.from_json(stated) for key, stated in lines[1:]}


def _opening(model: str, beside: Companions) -> dict[str, Any]:
    """A cache's first line: another model (its companions with it), other lung fields for the audits, or other
    features of an image need another cache."""
    return {"model": model, "lung_fields": beside.borrowed, "header": list(ImageStatistics._fields)}


@contextmanager
def _rewritten(
    cache: Path | None, opening: Mapping[str, Any], kept: Mapping[FileState, ImagePrediction]
) -> Iterator[IO[str]]:
    """``cache`` holding its first line and what is kept, one JSON value a line, open for more."""
    if cache is None:
        yield io.StringIO()
        return
    lines = [json.dumps(opening) + "\n", *(_line(key, image_prediction) for key, image_prediction in kept.items())]
    write_whole(cache, "".join(lines))
    with cache.open("a", encoding="utf-8") as out:
        yield out


def _line(key: FileState, image_prediction: ImagePrediction) -> str:
    return json.dumps([key, image_prediction.as_json()]) + "\n"
