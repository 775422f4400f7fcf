"""A training run, from a recipe and a manifest to a model package; it can be taken up again where it was cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from numpy.typing import NDArray
from rich.console import Console

from lungsight._progress import ProgressBars
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, RecipeError, UnreadableImageError
from lungsight.networks.backbones import build_network
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.training import lr_search, training_set
from lungsight.training.auxiliary_models import AuxiliaryModels, prepare_parts
from lungsight.training.batches import ProcessShard, build_loaders
from lungsight.training.diagnosis import Diagnosis
from lungsight.training.image_cache import ImageCache, default_cache_folder
from lungsight.training.learner import build_learner
from lungsight.training.localization_targets import known_targets
from lungsight.training.lung_cache import LungCache
from lungsight.training.packaging import images_to_judge, package_network
from lungsight.training.progress import TrainingBars
from lungsight.training.recipe import Recipe
from lungsight.training.run_folder import RunFolder
from lungsight.training.run_log import log_to
from lungsight.training.stages import Stages
from lungsight.training.teachers import teacher_logits
from lungsight.training.training_set import TrainingSet

#: Share of the healthy class from which on an image counts as showing no disease.
_HEALTHY = 0.5


@dataclass(frozen=True)
class RunOutcome:
    """Where the run is, whether training went to its end, and what its losses showed."""

    folder: Path
    finished: bool
    diagnosis: Diagnosis | None = None


def train(
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    list_folders: tuple[Path, ...] = (),
    cache: Path | None = None,
    workers: int = 0,
    console: Console | None = None,
) -> RunOutcome:
    """Train what the recipe says, or go on where a run in ``folder`` was cut off.

    Raises InvalidRecipe where ``folder`` holds a run of another recipe, InvalidManifest and LeakingSplit where the
    images won't do."""
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    console = console or Console(stderr=True, quiet=state.process_index > 0)
    share = ProcessShard(state.process_index, state.num_processes)
    recorded = RunFolder(recipe, folder, writes=state.is_main_process)
    if recorded.is_finished:
        console.print(f"{folder} holds this run already, finished.")
        return RunOutcome(folder, finished=True)
    say = log_to(folder / "log.txt", console, writes=state.is_main_process)
    choice = training_set.choose_every_class(recipe, manifest, list_folders)
    cache_root = cache or default_cache_folder()
    network, origin = build_network_of(recipe)
    with _first_process_first(state):
        parts = prepare_parts(recipe, manifest, folder, cache_root, console)
    seen = SeenImages.of(recipe, parts, cache_root)
    images = _prepare(recipe, manifest, choice, seen, console, say)
    loaders = build_loaders(
        recipe, images, seen.images, share=share, device=state.device, workers=workers,
        places=attention_targets(recipe, images, seen.lungs), teacher_logits=_taught(recipe, images, seen, console),
    )  # fmt: skip
    if state.is_main_process:
        recorded.begin(images)
    say(f"{recipe.backbone}, initial weights: {origin}; {len(loaders.train_ds)} images an epoch on {state.device}")
    learner = build_learner(recipe, network, loaders, folder=folder, rank=share.rank)
    diagnosis = Stages(recipe, folder, learner, share, say, console).run()
    if state.is_main_process:
        say("calibrating and writing the package")
        with ProgressBars(console) as bars:
            package_network(
                recipe, learner.model, images, seen.images, origin, folder / "package", parts,
                advance=bars.advancing("predicting images", images_to_judge(recipe, images)),
            )  # fmt: skip
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        recorded.end(diagnosis)
    state.wait_for_everyone()
    return RunOutcome(folder, finished=True, diagnosis=diagnosis)


@dataclass(frozen=True)
class SeenImages:
    """The images as the network sees them, and where their lungs are, if a segmenter is at hand."""

    images: ImageCache
    lungs: LungCache | None

    @classmethod
    def of(cls, recipe: Recipe, parts: AuxiliaryModels, cache: Path) -> SeenImages:
        lungs = LungCache.at(parts.lung_fields, cache) if parts.lung_fields else None
        if lungs is None and recipe.preprocessing.needs_lungs:
            raise RecipeError("geometry lungs", "nobody says where the lungs are", "give lung_fields or parts_from")
        return cls(ImageCache.at(recipe.preprocessing, cache, lungs), lungs)


def attention_targets(
    recipe: Recipe, images: TrainingSet, lungs: LungCache | None = None
) -> NDArray[np.uint8] | None:
    """Of all images, where the recipe guides the evidence."""
    if not recipe.guidance.weight:
        return None
    healthy = images.shares[:, images.classes.index(recipe.guidance.healthy)] > _HEALTHY
    return known_targets(images.manifest, healthy, recipe.preprocessing, lungs.load if lungs else None)


def _taught(recipe: Recipe, images: TrainingSet, seen: SeenImages, console: Console) -> NDArray[np.float32] | None:
    if not recipe.teachers.packages:
        return None
    with ProgressBars(console) as bars:
        return teacher_logits(recipe, images, seen.lungs, progress=bars.counting("predictions of the teachers"))


@contextmanager
def _first_process_first(state: PartialState) -> Iterator[None]:
    """Of several processes, the first trains the parts; the others then find them finished."""
    with state.main_process_first():
        yield


def find_learning_rate(
    recipe: Recipe,
    manifest: Manifest,
    out: Path,
    *,
    list_folders: tuple[Path, ...] = (),
    cache: Path | None = None,
    console: Console,
) -> lr_search.LearningRateCurve:
    """Draw the learning-rate curve of a recipe's first stage into the folder ``out``."""
    say = console.print
    cache_root = cache or default_cache_folder()
    choice = training_set.choose_every_class(recipe, manifest, list_folders)
    network, _ = build_network_of(recipe)
    seen = SeenImages.of(recipe, prepare_parts(recipe, manifest, out, cache_root, console), cache_root)
    images = _prepare(recipe, manifest, choice, seen, console, say)
    device = PartialState().device
    places = attention_targets(recipe, images, seen.lungs)
    loaders = build_loaders(recipe, images, seen.images, share=ProcessShard(), device=device, places=places)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    learner = build_learner(recipe, network, loaders, folder=out)
    if recipe.stages[0].frozen:
        learner.freeze()
    with ProgressBars(console) as bars:
        learner.add_cb(TrainingBars(bars, 1, 0))
        curve = lr_search.search(learner, recipe.learning_rate_search.iterations)
    shutil.rmtree(out / "scratch", ignore_errors=True)
    curve.write(out / "learning_rate.csv")
    return curve


def _read_all(paths: list[str], seen: SeenImages, console: Console) -> dict[str, UnreadableImageError]:
    problems: dict[str, UnreadableImageError] = {}
    with ProgressBars(console) as bars:
        if seen.lungs is not None:
            problems |= seen.lungs.prepare(paths, advance=bars.advancing("finding the lungs", len(paths)))
        readable = [path for path in paths if path not in problems]
        return problems | seen.images.prepare(readable, advance=bars.advancing("reading images", len(readable)))


def build_network_of(recipe: Recipe) -> tuple[CamClassifier, str]:
    """The network and its origin, tried on one image of the recipe's size: before hours of reading, not after."""
    torch.manual_seed(recipe.seed)
    network, origin = build_network(
        recipe.backbone,
        len(recipe.classes),
        weights=recipe.weights,
        dropout=recipe.dropout,
        fine_maps=recipe.fine_maps,
    )
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, recipe.image_size, recipe.image_size))
    except RuntimeError as error:
        problem = f"images of {recipe.image_size} px are too small for it"
        raise RecipeError(f"backbone {recipe.backbone}", problem, "raise image_size") from error
    return network.train(), origin


def _prepare(
    recipe: Recipe, manifest: Manifest, choice: tuple[Manifest, dict[str, int]], seen: SeenImages, console: Console,
    say: Callable[[str], None],
) -> TrainingSet:  # fmt: skip
    chosen, left_out = choice
    if recipe.split.unit != "given" and (manifest.table["split"] != "").any():
        say("the manifest has a split of its own, which this recipe doesn't use; --set split.unit=given keeps it")
    problems = _read_all(list(chosen.table["path"]), seen, console)
    for problem in problems.values():
        say(str(problem))
    if problems:
        chosen = chosen.where(~chosen.table["path"].isin(list(problems)))
        if not len(chosen):
            raise ManifestError(manifest.name, "none of its images can be read", "check the column path")
        left_out = {**left_out, "can't be read": len(problems)}
    with ProgressBars(console) as bars:
        search = bars.counting("looking for the same image twice")
        divided = training_set.divide(recipe, chosen, left_out, progress=search)
    counts = (divided.manifest.table["split"] + " " + divided.class_names).value_counts(sort=False)
    say("images: " + ", ".join(f"{side_and_class} {n}" for side_and_class, n in sorted(counts.items())))
    for reason, n in divided.left_out.items():
        say(f"left out: {n}, {reason}")
    if divided.leaks:
        say(f"the split leaks, as the recipe allows: {len(divided.leaks)} leaks, for example: {divided.leaks[0]}")
    return divided
