"""A model's predictions for the images of a manifest: computed once, kept, and continued after an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight._files import file_state
from lungsight.alterations.image import Alteration
from lungsight.components.lungs import crop_of
from lungsight.components.predictor import FEATURES
from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError, printable
from lungsight.evaluation.answer_store import AnswerStore, Key
from lungsight.evaluation.testset.altered import exam_of
from lungsight.evaluation.testset.image_statistics import ImageStatistics, statistics_table
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.evaluation.testset.testset import (
    DECISION,
    INVERTED,
    LUNG_FAULTS,
    REFUSED,
    UNFAMILIAR,
    VIEW_AP,
    VIEW_GUESS,
    TestSet,
)
from lungsight.inference import REFUSED as REFUSED_DECISION
from lungsight.inference import Answer, CheckedImage, Model
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.statistics.outcomes import FAULT, PREDICTION, SHA256, Floats32, logit_column, probability_column

#: Images that are read together, and pixels of altered ones that go through the network together: many alterations of
#: a large image don't fit in memory at once, and small batches aren't slower.
_AT_ONCE = 8
_PIXELS_AT_ONCE = 2**20


#: An alteration whose name begins so is answered by what the model's last layer weighs, float16 [c], not by logits.
FEATURES_OF = "features of "


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """All that is known of one file.

    Attributes:
        problem: why it can't be read or isn't judged, a sentence; what the network would give is then empty.
        probabilities, logits: by class.
        decision: as scanning gives it: the target, ``no_sign``, ``inconclusive``, ``refused``, or a class.
        statistics: the fields of :class:`.ImageStatistics`; empty if the file can't be read.
        features: float16 [c], what the network's last layer weighs, averaged over the image.
        maps: float16 [k, h, w], the logits region by region.
        lungs: None if no component segments them.
        refused: why the package's input gate refuses it: sentences. It is judged all the same.
        inverted: the gate took it for a negative, so it was judged as a positive.
        unfamiliar: it is out-of-distribution; None if no component measures that.
        view_guess: ``AP`` or ``PA`` as a view classifier predicts it; else empty.
        view_ap: its probability of AP; None without one.
    """

    sha256: str = ""
    problem: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    logits: Mapping[str, float] = field(default_factory=dict)
    decision: str = ""
    statistics: tuple[float, ...] = ()
    features: NDArray[np.float16] | None = None
    maps: NDArray[np.float16] | None = None
    lungs: LungMask | None = None
    refused: tuple[str, ...] = ()
    inverted: bool = False
    unfamiliar: bool | None = None
    view_guess: str = ""
    view_ap: float | None = None

    @classmethod
    def restored(cls, stated: Mapping[str, Any]) -> ImagePrediction:
        """From :func:`dataclasses.asdict`, through JSON."""
        tuples = {name: tuple(stated[name]) for name in ("statistics", "refused")}
        lungs = None if stated["lungs"] is None else LungMask.restored(stated["lungs"])
        return cls(**{**stated, **tuples, "lungs": lungs})


@dataclass(frozen=True, eq=False)
class AskedImage:
    """One image to predict, with the alterations of it to predict too, by their names in the store."""

    path: str
    lung_mask: str = ""
    alterations: Mapping[str, Alteration] = field(default_factory=dict)


class ImageAnswer(NamedTuple):
    """An image's prediction, and the logits [k] of each alteration, or features; None if it can't be altered so."""

    prediction: ImagePrediction
    altered: Mapping[str, Any]


def predict_manifest_images(
    model: Model,
    manifest: Manifest,
    *,
    progress: Progress = silent,
    store: AnswerStore | None = None,
    alterations: Mapping[int, Mapping[str, Alteration]] | None = None,
) -> TestSet:
    """Predict every image of ``manifest``.

    Args:
        model: a detector, loaded with its features, or another model.
        manifest: the images.
        progress: called with how many images are done, and of how many.
        store: keeps the answers. An interrupted call continues where it stopped, and nothing is computed again as
            long as neither file nor model has changed.
        alterations: for some rows, what audits will do to the image: predicted in the same pass, into the store.

    Returns:
        The manifest's table with ``sha256``, a calibrated probability and a logit per class, ``prediction`` (the most
        probable class), ``verdict`` (the decision that scanning gives) and ``fault`` (why a file can't be read or
        isn't judged; then the rest is empty). With the component in the package also ``refused`` and ``inverted``,
        ``unfamiliar``, ``lung_faults``, ``view_guess`` and ``view_ap``; what the gate refuses is judged all the same.
    """
    wanted = alterations or {}
    rows = zip(manifest.table["path"], manifest.table["lung_mask"], strict=True)
    asked = [AskedImage(str(path), str(mask), wanted.get(row, {})) for row, (path, mask) in enumerate(rows)]
    answers = answer_images(model, asked, store, progress)
    return _testset(model, manifest.table, [answer.prediction for answer in answers])


def answer_images(
    model: Model, asked: Sequence[AskedImage], store: AnswerStore | None = None, progress: Progress = silent
) -> list[ImageAnswer]:
    """Predict images and alterations of them, each file opened once: the only way from a file to a prediction."""
    store = store or AnswerStore.in_memory()
    answers = [_kept(model, image, store) for image in asked]
    waiting = [i for i, image in enumerate(asked) if not _complete(answers[i], image)]
    for start in range(0, len(waiting), _AT_ONCE):
        batch = waiting[start : start + _AT_ONCE]
        new = _answered(model, [asked[i] for i in batch], [answers[i] for i in batch])
        for i, answer in zip(batch, new, strict=True):
            answers[i] = answer
        _keep(model, [(asked[i], answers[i]) for i in batch], store)
        progress(start + len(batch), len(waiting))
    return [answer for answer in answers if answer is not None]


def _complete(answer: ImageAnswer | None, image: AskedImage) -> bool:
    return answer is not None and image.alterations.keys() <= answer.altered.keys()


def _key(model: Model, path: str) -> Key:
    views = ("views", model.checker.views_from) if model.checker.views_from else ()
    return ("image", model.model, model.lungs_from, *views, ImageStatistics._fields, *file_state(path))


def _altered_key(model: Model, prediction: ImagePrediction, lung_mask: str, name: str) -> Key:
    """With other lungs, named or found, the answer is another."""
    mask = file_state(lung_mask) if lung_mask else None
    lungs = prediction.lungs.digest if prediction.lungs else ""
    return ("altered", model.model, prediction.sha256, mask, lungs, name)


def _kept(model: Model, image: AskedImage, store: AnswerStore) -> ImageAnswer | None:
    key = _key(model, image.path)
    stated = store.get([key]).get(key)
    if stated is None:
        return None
    prediction = ImagePrediction.restored(stated)
    keys = {name: _altered_key(model, prediction, image.lung_mask, name) for name in image.alterations}
    found = store.get(keys.values())
    return ImageAnswer(prediction, {name: found[one] for name, one in keys.items() if one in found})


def _keep(model: Model, answers: Sequence[tuple[AskedImage, ImageAnswer | None]], store: AnswerStore) -> None:
    """Add what was computed; files that can't be read are tried again at the next call."""
    new: dict[Key, Any] = {}
    for image, answer in answers:
        if answer is not None and not answer.prediction.problem:
            new[_key(model, image.path)] = asdict(answer.prediction)
            for name, logits in answer.altered.items():
                new[_altered_key(model, answer.prediction, image.lung_mask, name)] = logits
    store.add(new)


class _Read(NamedTuple):
    """A file that was read: what is known of it, what the network will see of it, and of its alterations."""

    known: ImagePrediction
    checked: CheckedImage
    prepared: Floats32
    altered: dict[str, Floats32 | None]


def _answered(model: Model, asked: Sequence[AskedImage], kept: Sequence[ImageAnswer | None]) -> list[ImageAnswer]:
    """Read the files and predict what isn't kept yet, as one batch."""
    with ThreadPoolExecutor(min(len(asked), cores())) as readers:
        read = list(readers.map(lambda image, answer: _read(model, image, answer), asked, kept))
    ready = [one for one in read if isinstance(one, _Read)]
    new = [one for one in ready if not one.known.probabilities]
    outputs = iter(model.answer_checked([one.checked for one in new], [one.prepared for one in new]))
    altered = iter(_altered(model, ready))
    answers = []
    for one, answer in zip(read, kept, strict=True):
        if isinstance(one, ImagePrediction):
            answers.append(ImageAnswer(one, {}))
            continue
        prediction = one.known if one.known.probabilities else _with_outputs(one.known, next(outputs))
        answers.append(ImageAnswer(prediction, {**(answer.altered if answer else {}), **next(altered)}))
    return answers


def _altered(model: Model, read: Sequence[_Read]) -> Iterator[dict[str, Any]]:
    """What the model gives for the alterations of each image."""
    kinds = [(one, name, pixels) for one in read for name, pixels in one.altered.items() if pixels is not None]
    logits = iter(_logits(model, [pixels for _, name, pixels in kinds if not name.startswith(FEATURES_OF)]))
    for one in read:
        given: dict[str, Any] = dict.fromkeys(one.altered)
        for name, pixels in one.altered.items():
            if pixels is not None:
                given[name] = _features(model, one, pixels) if name.startswith(FEATURES_OF) else next(logits)
        yield given


def _features(model: Model, read: _Read, pixels: Floats32) -> NDArray[np.float16] | None:
    if FEATURES in model.lacks:
        return None
    features = model.answer_checked([read.checked], [pixels])[0].features
    return None if features is None else features.astype(np.float16)


def _read(model: Model, image: AskedImage, kept: ImageAnswer | None) -> _Read | ImagePrediction:
    try:
        radiograph = model.read(Path(image.path))
    except UnreadableImageError as error:
        return ImagePrediction(problem=str(error))
    checked = model.check_input(radiograph)
    if checked.refused_by not in (None, "gate"):
        problem = f"{printable(image.path)}: refused. {' '.join(checked.refusals)}"
        return ImagePrediction(radiograph.sha256, problem)
    known = kept.prediction if kept else _known(model, radiograph, checked, image.path)
    missing = {name: alter for name, alter in image.alterations.items() if not kept or name not in kept.altered}
    altered: dict[str, Floats32 | None] = {}
    if missing:
        crop = known.lungs.crop if known.lungs else None
        exam = exam_of(model, radiograph, checked, image.lung_mask, known.lungs)
        for name, alter in missing.items():
            pixels = alter(exam)
            altered[name] = None if pixels is None else model.prepare_pixels(pixels, crop)
    return _Read(known, checked, model.prepare_checked(checked), altered)


def _known(model: Model, radiograph: Radiograph, checked: CheckedImage, path: str) -> ImagePrediction:
    """What is known before the network is run.

    The lungs are those that audits hide; a crop is made by the package's own. The detector needs fewer pixels of a
    large image, but its size and sharpness are those of the file.
    """
    found = model.lungs_to_audit(checked)
    crop = crop_of(checked.lungs) if model.preprocessing.needs_lungs else None
    whole = radiograph if radiograph.file_shape is None else read_radiograph(Path(path))
    return ImagePrediction(
        radiograph.sha256,
        statistics=tuple(float(value) for value in ImageStatistics.of(whole)),
        lungs=None if found is None else LungMask.of(found, crop),
        refused=checked.refusals,
        inverted=checked.inverted,
        view_guess=str(checked.view.view or "") if checked.view else "",
        view_ap=checked.view.ap if checked.view else None,
    )


def _with_outputs(known: ImagePrediction, answer: Answer) -> ImagePrediction:
    finding = answer.finding
    if not finding.probabilities:  # the network gives no number for it
        return ImagePrediction(known.sha256, " ".join(finding.reasons), statistics=known.statistics)
    return replace(
        known,
        probabilities=finding.probabilities,
        logits=dict(zip(finding.probabilities, answer.logits.tolist(), strict=True)),
        decision=REFUSED_DECISION if known.refused else finding.decision or "",
        features=None if answer.features is None else answer.features.astype(np.float16),
        maps=None if answer.maps is None else answer.maps.astype(np.float16),
        unfamiliar=None if finding.unfamiliarity is None else finding.unfamiliarity > 1,
    )


def _logits(model: Model, seen: Sequence[Floats32]) -> Iterator[list[float]]:
    """Of prepared images, a few at a time."""
    few = max(1, _PIXELS_AT_ONCE // model.preprocessing.image_size**2)
    for i in range(0, len(seen), few):
        yield from model.logits(seen[i : i + few]).tolist()


def _testset(model: Model, images: pd.DataFrame, predictions: list[ImagePrediction]) -> TestSet:
    classes = model.classes
    columns: dict[str, list[Any]] = {SHA256: [one.sha256 for one in predictions]}
    columns |= {probability_column(c): [p.probabilities.get(c, np.nan) for p in predictions] for c in classes}
    columns |= {logit_column(c): [p.logits.get(c, np.nan) for p in predictions] for c in classes}
    most = [max(classes, key=p.probabilities.__getitem__) if p.probabilities else "" for p in predictions]
    columns[PREDICTION] = most
    if any(p.decision for p in predictions) or not any(most):  # a model without a rule of its own makes none
        columns[DECISION] = [p.decision for p in predictions]
    columns[FAULT] = [p.problem for p in predictions]
    if model.checker.gate is not None:
        columns[INVERTED] = [p.inverted for p in predictions]
    if model.checker.gate is not None or any(p.refused for p in predictions):  # lungs refuse without a gate, too
        columns[REFUSED] = [" ".join(p.refused) for p in predictions]
    if any(p.lungs for p in predictions):
        columns[LUNG_FAULTS] = [" ".join(p.lungs.problems) if p.lungs else "" for p in predictions]
    if any(p.unfamiliar is not None for p in predictions):
        columns[UNFAMILIAR] = [bool(p.unfamiliar) for p in predictions]
    if any(p.view_ap is not None for p in predictions):
        columns[VIEW_GUESS] = [p.view_guess for p in predictions]
        columns[VIEW_AP] = [np.nan if p.view_ap is None else p.view_ap for p in predictions]
    return TestSet(
        table=images.assign(**columns),
        classes=classes,
        target=model.target,
        headers=statistics_table([p.statistics for p in predictions]),
        features=_stacked([p.features for p in predictions]),
        maps=_stacked([p.maps for p in predictions]),
        lungs=tuple(p.lungs for p in predictions) if any(p.lungs for p in predictions) else (),
    )


def _stacked(arrays: Sequence[NDArray[np.float16] | None]) -> Floats32 | None:
    """NaN where an image has none, float32 [n, …]; None where none has any."""
    known = next((array for array in arrays if array is not None), None)
    if known is None:
        return None
    nothing = np.full(known.shape, np.nan, dtype=np.float32)
    return np.stack([nothing if array is None else array.astype(np.float32) for array in arrays])
