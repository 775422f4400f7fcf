"""A training run, from a recipe and a manifest to a model package; it can be taken up again where it was cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from rich.console import Console

from lungsight.datasets.manifest import Manifest
from lungsight.faults import InvalidManifest, InvalidRecipe
from lungsight.networks.backbones import build_network
from lungsight.networks.evidence_network import EvidenceNetwork
from lungsight.training import lr_search, training_set
from lungsight.training.bars import TrainingBars, progress_bars
from lungsight.training.batches import Share, build_loaders
from lungsight.training.diagnosis import Diagnosis
from lungsight.training.image_cache import ImageCache, default_cache_folder
from lungsight.training.learner import build_learner
from lungsight.training.packaging import package_network
from lungsight.training.recipe import Recipe
from lungsight.training.run_folder import RunFolder, log_to
from lungsight.training.stages import Stages
from lungsight.training.training_set import TrainingSet


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
    share = Share(state.process_index, state.num_processes)
    recorded = RunFolder(recipe, folder, writes=state.is_main_process)
    if recorded.is_finished:
        console.print(f"{folder} holds this run already, finished.")
        return RunOutcome(folder, finished=True)
    say = log_to(folder / "log.txt", console, writes=state.is_main_process)
    cache_root = cache or default_cache_folder()
    network, origin = _build_network(recipe)
    images = _prepare(recipe, manifest, list_folders, cache_root, console, say)
    image_cache = ImageCache.at(recipe.preprocessing, cache_root)
    loaders = build_loaders(recipe, images, image_cache, share=share, device=state.device, workers=workers)
    if state.is_main_process:
        recorded.begin(images)
    say(f"{recipe.backbone}, initial weights: {origin}; {len(loaders.train_ds)} images an epoch on {state.device}")
    learner = build_learner(recipe, network, loaders, folder=folder, rank=share.rank)
    diagnosis = Stages(recipe, folder, learner, share, say, console).run()
    if state.is_main_process:
        say("calibrating and writing the package")
        package_network(recipe, learner.model, images, loaders.valid, origin, folder / "package")
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        recorded.end(diagnosis)
    state.wait_for_everyone()
    return RunOutcome(folder, finished=True, diagnosis=diagnosis)


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
    network, _ = _build_network(recipe)
    images = _prepare(recipe, manifest, list_folders, cache_root, console, say)
    image_cache = ImageCache.at(recipe.preprocessing, cache_root)
    device = PartialState().device
    loaders = build_loaders(recipe, images, image_cache, share=Share(), device=device)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    learner = build_learner(recipe, network, loaders, folder=out)
    if recipe.stages[0].frozen:
        learner.freeze()
    with progress_bars(console) as bars:
        learner.add_cb(TrainingBars(bars, 1, 0))
        curve = lr_search.search(learner, recipe.learning_rate_search.iterations)
    shutil.rmtree(out / "scratch", ignore_errors=True)
    curve.write(out / "learning_rate.csv")
    return curve


def _build_network(recipe: Recipe) -> tuple[EvidenceNetwork, str]:
    """The network and its origin, tried on one image of the recipe's size: before hours of reading, not after."""
    torch.manual_seed(recipe.seed)
    network, origin = build_network(
        recipe.backbone, len(recipe.classes), weights=recipe.weights, dropout=recipe.dropout
    )
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, recipe.image_size, recipe.image_size))
    except RuntimeError as error:
        fault = f"images of {recipe.image_size} px are too small for it"
        raise InvalidRecipe(f"backbone {recipe.backbone}", fault, "raise image_size") from error
    return network.train(), origin


def _prepare(
    recipe: Recipe, manifest: Manifest, folders: tuple[Path, ...], cache: Path, console: Console,
    say: Callable[[str], None],
) -> TrainingSet:  # fmt: skip
    chosen, left_out = training_set.choose(recipe, manifest, folders)
    if recipe.split.unit != "given" and (manifest.table["split"] != "").any():
        say("the manifest has a split of its own, which this recipe doesn't use; --set split.unit=given keeps it")
    with progress_bars(console) as bars:
        reading = bars.add_task("reading images", total=len(chosen))
        images = ImageCache.at(recipe.preprocessing, cache)
        faults = images.prepare(list(chosen.table["path"]), advance=lambda n: bars.advance(reading, n))
    for fault in faults.values():
        say(str(fault))
    if faults:
        chosen = chosen.where(~chosen.table["path"].isin(list(faults)))
        if not len(chosen):
            raise InvalidManifest(manifest.name, "none of its images can be read", "check the column path")
        left_out = {**left_out, "can't be read": len(faults)}
    with progress_bars(console) as bars:
        searching = bars.add_task("looking for the same image twice", total=None)
        divided = training_set.divide(
            recipe, chosen, left_out, progress=lambda done, total: bars.update(searching, completed=done, total=total)
        )
    counts = (divided.manifest.table["split"] + " " + divided.class_names).value_counts(sort=False)
    say("images: " + ", ".join(f"{side_and_class} {n}" for side_and_class, n in sorted(counts.items())))
    for reason, n in divided.left_out.items():
        say(f"left out: {n}, {reason}")
    if divided.leaks:
        say(f"the split leaks, as the recipe allows: {len(divided.leaks)} leaks, for example: {divided.leaks[0]}")
    return divided
