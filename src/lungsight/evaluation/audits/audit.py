"""An audit: one question to the model or to the test set, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lungsight._text import as_words
from lungsight.components.predictor import FEATURES, MAPS, WEIGHTS
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.audits.illustration import Illustrated, Illustration, illustrations
from lungsight.evaluation.audits.perturbed_predictions import Perturbations
from lungsight.evaluation.audits.retraining import HeldOut
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import Model
from lungsight.package import TrainedImage
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats

_NEEDS_A_MODEL = "Only a model can be asked: these are somebody's predictions, without their model."


class AuditResult(StrEnum):
    """The result of an audit.

    An audit with a rule looks for one defect, most often a shortcut. ``FOUND``: it is there, by the whole interval.
    ``NOT_FOUND``: it was looked for with enough images to find it, and the interval excludes it. ``NOT_SHOWN``:
    neither; too few images, or a figure in between. ``REPORTED``: figures without a rule. ``NOT_DONE``: the question
    couldn't be asked here.
    """

    FOUND = "found"
    NOT_FOUND = "not found"
    NOT_SHOWN = "not shown"
    REPORTED = "reported"
    NOT_DONE = "not done"


#: An audit that looked at fewer images doesn't report *not found*, whatever its interval.
FEWEST_IMAGES = 200


def by_rule(*, found: bool, excluded: bool, images: int) -> AuditResult:
    """The result of a rule that looks for a shortcut.

    Args:
        found: the whole interval shows the shortcut.
        excluded: the whole interval excludes it.
        images: of how many images the interval is.
    """
    if found:
        return AuditResult.FOUND
    return AuditResult.NOT_FOUND if excluded and images >= FEWEST_IMAGES else AuditResult.NOT_SHOWN


class Need(StrEnum):
    """What an audit needs beside the test set."""

    MODEL = "the model"
    MAPS = "its heatmaps"
    FEATURES = "its features"
    WEIGHTS = "its weights"
    LUNGS = "lung segmentation"
    MASKS = "lesion masks or boxes"
    FILES = "the image files"
    TWO_SOURCES = "two sources"
    OTHER_SOURCE = "an external source, or `--retrain`"


#: What a model may lack, by what it calls that.
_OF_THE_MODEL: Mapping[Need, str] = {Need.MAPS: MAPS, Need.FEATURES: FEATURES, Need.WEIGHTS: WEIGHTS}


def concluded(kinds: Iterable[Sequence[Estimate]], *, above: float, below: float) -> AuditResult:
    """The result of a rule on estimates that grow with the shortcut, a sequence for each kind of source.

    Found where one's whole interval is above ``above``. Not found where those of every kind with enough images have
    their whole interval below ``below``, and there is such a kind. A kind without any interval doesn't count.
    """
    known = [kind for kind in kinds if any(one.low is not None for one in kind)]
    large = [kind for kind in known if min(one.n for one in kind) >= FEWEST_IMAGES]
    found = any(one.low is not None and one.low > above for kind in known for one in kind)
    excluded = all(one.high is not None and one.high < below for kind in large for one in kind)
    return by_rule(found=found, excluded=excluded, images=FEWEST_IMAGES if large else 0)


@dataclass(frozen=True, eq=False)
class Audit:
    """One audit's answer, as reports show it.

    Attributes:
        name: as documented: ``lungs hidden``, ``header only`` …
        question: in plain words, one sentence.
        call: the result.
        meaning: what that means here, in plain words with the figures, one to three sentences; for ``NOT_DONE``
            why it couldn't be asked.
        effect: the figure that the result depends on, with its interval; None if there is none.
        images: how many images it looked at.
        rule: when a shortcut is found and when it isn't, with the thresholds; empty for an audit without a rule.
        rows: every figure; they become ``audit_<name>.csv``.
        illustrations: typical images before and after what it did to them.
        title: its name for people, where that is another.
        found: its figure in a few words; empty for an audit that looks for no shortcut.
    """

    name: str
    question: str
    call: AuditResult
    meaning: str
    effect: Estimate | None = None
    images: int = 0
    rule: str = ""
    rows: tuple[Row, ...] = ()
    illustrations: tuple[Illustration, ...] = ()
    title: str = ""
    found: str = ""

    @property
    def words(self) -> str:
        """Its name for people."""
        return self.title or self.name

    @property
    def stem(self) -> str:
        """Of its CSV file."""
        return "audit_" + slug_of(self.name)


def slug_of(name: str) -> str:
    """An audit's name as files have it."""
    return name.replace(" ", "_").replace("'", "")


def not_done(name: str, question: str, reason: str, rule: str = "") -> Audit:
    """An audit that couldn't be asked, with one sentence why."""
    return Audit(name, question, AuditResult.NOT_DONE, reason, rule=rule)


@dataclass(frozen=True, eq=False)
class AuditInput:
    """All that an audit may use.

    Attributes:
        testset: the images with their predictions.
        resampling: for intervals.
        detector: the model, a package's loaded with its features; None for predictions without their model.
        images: at most this many of each kind are altered.
        store: keeps the model's answers.
        retrained: models trained without one source each.
        progress: called with the name of a step, what is done of it and of how much.
        illustrate: show images before and after an alteration.
        trained: the images that the model was trained on, as far as they are known.
        asked: the answers to alterations: several audits alter the same images, which are asked once.
    """

    testset: TestSet
    resampling: Resampling = field(default_factory=Resampling)
    detector: Model | None = None
    images: int = 400
    store: AnswerStore = field(default_factory=AnswerStore.in_memory)
    retrained: tuple[HeldOut, ...] = ()
    progress: Callable[[str, int, int], None] = lambda step, done, total: None
    illustrate: bool = True
    trained: tuple[TrainedImage, ...] = ()
    asked: dict[Perturbations, tuple[TestSet, dict[str, Floats]]] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> Model:
        """The model, for audits that need :attr:`Need.MODEL`."""
        assert self.detector is not None
        return self.detector

    @property
    def target(self) -> int:
        """Place of the target class among the model's."""
        return self.testset.classes.index(self.testset.target)

    def perturbed(self, perturbations: Perturbations) -> tuple[TestSet, dict[str, Floats]]:
        """The images chosen, n, and by alteration the probabilities, float64 [n, k]; NaN if it can't be made."""
        if perturbations not in self.asked:
            self.asked[perturbations] = perturbations.predict(self.model, self.testset, self.images, self.store)
        return self.asked[perturbations]


@dataclass(frozen=True, eq=False)
class AuditAnswer:
    """What an audit's run gives; its attributes are those of :class:`Audit`."""

    call: AuditResult
    meaning: str
    effect: Estimate | None = None
    rows: tuple[Row, ...] = ()
    images: int = 0
    found: str = ""


def unanswered(reason: str, rows: tuple[Row, ...] = (), images: int = 0) -> AuditAnswer:
    """The question couldn't be asked, with one sentence why."""
    return AuditAnswer(AuditResult.NOT_DONE, reason, None, rows, images)


@dataclass(frozen=True, eq=False)
class AuditSpec:
    """One audit: all that the evaluation, the grade, the checklists and the documentation know of it.

    Attributes:
        name: as reports give it.
        question: one sentence; ``{target}`` is the target class.
        run: answers it.
        rule: when a shortcut is found and when it isn't, one sentence; empty for an audit without a rule.
        asks: what its figure must be for the whole interval, in a few words; empty for an audit without a rule.
        title: its name for people, where that is another.
        needs: what it can't do without.
        calls_shortcut: what it finds is stated beside the grade, as a shortcut.
        required: shortcuts are *not found* only if one of the audits with the same word here reports so.
        of_heatmap: it is about the heatmap, not about the score.
        perturbations: the altered images that it asks the model about, predicted in the same pass as the originals.
        illustrated: which of its alterations reports show on an image.
    """

    name: str
    question: str
    run: Callable[[AuditInput], AuditAnswer]
    rule: str = ""
    asks: str = ""
    title: str = ""
    needs: frozenset[Need] = frozenset()
    calls_shortcut: bool = False
    required: str = ""
    of_heatmap: bool = False
    perturbations: Perturbations | None = None
    illustrated: tuple[Illustrated, ...] = ()

    @property
    def words(self) -> str:
        """Its name for people."""
        return self.title or self.name

    @property
    def slug(self) -> str:
        """Its name in files."""
        return slug_of(self.name)

    def audit(self, given: AuditInput) -> Audit:
        """Run it, unless it needs a model and there is none, or something that this model can't give."""
        question = self.question.format(target=as_words(given.testset.target))
        if reason := self._why_not(given.detector):
            return Audit(self.name, question, AuditResult.NOT_DONE, reason, title=self.title)
        answer = self.run(given)
        pictures = () if answer.call is AuditResult.NOT_DONE else tuple(self._illustrations(given))
        return Audit(
            self.name, question, answer.call, answer.meaning, answer.effect,
            images=answer.images, rule=self.rule, rows=answer.rows, illustrations=pictures, title=self.title,
            found=answer.found,
        )  # fmt: skip

    def _illustrations(self, given: AuditInput) -> Iterator[Illustration]:
        if self.perturbations is not None and self.illustrated and given.illustrate and given.detector is not None:
            shown, answers = given.perturbed(self.perturbations)
            yield from illustrations(given.detector, self.perturbations, self.illustrated, shown, answers)

    def _why_not(self, model: Model | None) -> str:
        """What it needs of the model and doesn't get, a sentence; empty if it gets all."""
        if Need.MODEL in self.needs and model is None:
            return _NEEDS_A_MODEL
        lacking = {} if model is None else model.lacks
        return next(
            (lacking[one] for need, one in _OF_THE_MODEL.items() if need in self.needs and one in lacking), ""
        )
