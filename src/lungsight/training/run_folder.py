"""The folder of a training run: what it says of the recipe, the images, the machine and the times."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from lungsight._cores import cores
from lungsight._files import write_whole
from lungsight.errors import LungsightError, ManifestError, RecipeError
from lungsight.training.diagnosis import Diagnosis
from lungsight.training.recipe import Recipe, as_toml, load_recipe
from lungsight.training.run_log import command_line
from lungsight.training.training_set import TrainingSet
from lungsight.training.versions import installed_versions


class RunFolder:
    """What the run folder says of the run: recipe, images, machine, times."""

    def __init__(self, recipe: Recipe, folder: Path, *, writes: bool) -> None:
        self.recipe, self.folder = recipe, folder
        stated = folder / "recipe.toml"
        if self._has_begun and stated.is_file() and load_recipe(str(stated)) != recipe:
            raise RecipeError(folder, "holds a run of another recipe", "choose another --out, or remove that folder")
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            if not self._has_begun:  # to be changed and given again, where the images prove not to fit it
                write_whole(stated, as_toml(recipe))

    @property
    def _has_begun(self) -> bool:
        return (self.folder / "environment.json").is_file()

    @property
    def is_finished(self) -> bool:
        place = self.folder / "environment.json"
        return place.is_file() and "finished" in _read_json(place)

    def begin(self, images: TrainingSet) -> None:
        """Write down what is about to be trained, once all of it has proved fit: until then another recipe may take
        the folder."""
        stated = self.folder / "manifest.csv"
        before = _sides(stated)
        images.manifest.write(stated)
        if len(before) and not before.equals(_sides(stated)):
            raise ManifestError(stated, "isn't the images this run began with", "choose another --out")
        leaks = [str(leak) for leak in images.leaks]
        content = {"left_out": images.left_out, "leaks": leaks}
        write_whole(self.folder / "images.json", json.dumps(content, indent=1))
        if not (self.folder / "environment.json").exists():
            self._write(_environment(self.recipe))

    def end(self, diagnosis: Diagnosis | None) -> None:
        known = _read_json(self.folder / "environment.json")
        self._write(known | {"finished": _now(), "diagnosis": str(diagnosis) if diagnosis else None})

    def _write(self, content: dict[str, object]) -> None:
        write_whole(self.folder / "environment.json", json.dumps(content, indent=1))


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise LungsightError(
            path, "isn't the JSON that was written there", "remove it and run the command again"
        ) from error
    return dict(content)


def _sides(path: Path) -> pd.DataFrame:
    """Which side each image stood on when the run began; empty before it did."""
    columns = ["path", "split"]
    return pd.read_csv(path, dtype=str)[columns] if path.is_file() else pd.DataFrame(columns=columns)


def _environment(recipe: Recipe) -> dict[str, object]:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "started": _now(),
        "command": command_line(),
        "seed": recipe.seed,
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processor_cores": cores(),
        "gpus": gpus,
        "versions": installed_versions(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def truncate(path: Path, epochs: int) -> None:
    """Drop what was written after the last checkpoint: it will be trained again."""
    if not path.is_file():
        return
    table = pd.read_csv(path)
    kept = table[table["epoch"] < epochs]
    if kept.empty:
        path.unlink()
    else:
        write_whole(path, kept.to_csv(index=False, lineterminator="\n"))
