"""``lungsight data check``: what is in manifests, and what in them would make a result wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.columns import Columns as SideBySide
from rich.console import Console
from rich.table import Table

from lungsight._files import write_whole
from lungsight._progress import ProgressBars
from lungsight._text import as_words
from lungsight.cli import output
from lungsight.cli.options import Columns, Labels, naming, read_tables
from lungsight.datasets.check import Check, check_manifest
from lungsight.datasets.manifest import Manifest

if TYPE_CHECKING:
    from lungsight.evaluation.answerable import Answerable
    from lungsight.statistics.estimate import Estimate

#: Unreadable files and leaks beyond this many are only counted; --json has them all.
_SHOWN = 20


def check(
    manifests: Annotated[list[Path], typer.Argument(help="Tables made by `lungsight data build`, or your own.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all that was found to this file.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Write the pairs of copies to this CSV file.")] = None,
    columns: Columns = None,
    labels: Labels = None,
    target: Annotated[
        str, typer.Option(help="The label set against every other diagnosis, for the last sentences.")
    ] = "covid19",
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for what is known of images seen before.", show_default="user cache"),
    ] = None,
) -> None:
    """Count the images; find unreadable files, copies within and between collections, and leaks of a split.

    Copies are found though they were re-encoded, resized, mirrored or cropped. Ends with status 4 when a patient, a
    study or an image is on several sides of the split, else with 3 when one image has two labels, else with 1
    when files can't be read.

    It ends in a few sentences: at which sources the collection can answer whether a model recognises the target, and
    what would make a result wrong (leaks, copies, several images of a patient). For the first, what size, greys,
    sharpness and the view alone tell of the label is measured; this needs the extra `report`.
    """
    manifest = Manifest.joined(read_tables(manifests, naming(columns, labels)))
    found = _checked(manifest, cache)
    _show(found)
    answer = _answerable(manifest, target, cache)
    _say_last(found, answer)
    if json_file is not None:
        stated = found.to_json() | ({} if answer is None else {"can_answer": answer.to_json()})
        write_whole(json_file, json.dumps(stated, indent=1, ensure_ascii=False) + "\n")
    if pairs is not None:
        write_whole(pairs, found.pairs_table().to_csv(index=False))
    raise typer.Exit(found.exit_status)


def _checked(manifest: Manifest, cache: Path | None) -> Check:
    with ProgressBars(output.console(stderr=True)) as bars:
        return check_manifest(
            manifest, cache=cache, reading=bars.counting("reading"), comparing=bars.counting("comparing")
        )


def _answerable(manifest: Manifest, target: str, cache: Path | None) -> Answerable | None:
    """What the collection can answer, printed; None where the libraries for it aren't installed."""
    console = output.console()
    try:
        from lungsight.evaluation.answerable import what_can_be_answered
    except ModuleNotFoundError as missing:
        extra = "`pip install 'lungsight[report]'`"
        output.say(console, f"\nWhat the collection can answer is computed with {missing.name}: {extra}.")
        return None
    with ProgressBars(output.console(stderr=True)) as bars:
        answer = what_can_be_answered(
            manifest, target, cache=cache,
            progress=bars.counting("measuring"), fitting=bars.counting("predicting the label from greys and size"),
        )  # fmt: skip
    shown = [*answer.sources, *([answer.together] if answer.together else [])]
    rows = [
        (each.source, each.images, each.with_target, each.without_target, *map(_figure, (each.statistics, each.view)))
        for each in shown
    ]
    headings = ("source", "images", "patients with", "without", "AUROC of greys and size", "AUROC of the view")
    title = f"\nWhat alone tells {as_words(target)} from the rest"
    console.print(output.table(headings, rows, numbers=headings[1:4], title=title))
    return answer


def _say_last(found: Check, answer: Answerable | None) -> None:
    for sentence in (answer.sentence if answer else "", found.sentence):
        if sentence:
            output.say(output.console(), sentence)


def _figure(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    interval = "" if estimate.low is None else f" ({estimate.low:.2f}–{estimate.high:.2f})"
    return f"{estimate.value:.2f}{interval}"


def _show(found: Check) -> None:
    console = output.console()
    output.say(console, f"{len(found.manifest):,} images{_patients(found)}")
    console.print(_cross_table(found))
    console.print(SideBySide([_counts(name, values) for name, values in found.counts.items()], padding=(1, 4)))
    _list(console, "files can't be read", found.unreadable)
    output.say(console, f"\n{len(found.pairs):,} pairs of images are the same")
    if found.pairs:
        console.print(_copies(found))
    if sentences := found.two_labels():
        _list(console, "pairs of the same image have two labels", sentences)
    if (found.manifest.table["split"] != "").any():
        _list(console, "patients, studies or images stand on several sides of the split", found.leaks)


def _patients(found: Check) -> str:
    """Of how many patients, as far as the table tells them apart."""
    unknown = int((~found.manifest.has_patient).sum())
    if not unknown:
        return f" of {found.known_patients:,} patients"
    if unknown == len(found.manifest):
        return "; of which patients, the table doesn't say"
    return f" of {found.known_patients:,} patients, and {unknown:,} of them of unknown patients"


def _cross_table(found: Check) -> Table:
    """Images by source and label: a source with a single label can't show whether a model knows the disease."""
    images = found.cross_table()
    labels = [str(label) for label in images.columns]
    names = [names if isinstance(names, tuple) else (names,) for names in images.index.to_flat_index()]
    counts = ([int(n) if n else "–" for n in row] for row in images.to_numpy())
    rows = ([*name, *row] for name, row in zip(names, counts, strict=True))
    return output.table([*images.index.names, *labels], rows, numbers=labels, title="Images by source and label")


def _counts(name: str, values: Mapping[str, int]) -> Table:
    return output.table([name, "images"], values.items(), numbers=["images"])


def _copies(found: Check) -> Table:
    rows = (
        (one if one == other else f"{one} and {other}", str(kind), count)
        for (one, other), kinds in found.pairs_by_place().items()
        for kind, count in kinds.most_common()
    )
    return output.table(["within or between", "how", "pairs"], rows, numbers=["pairs"])


def _list(console: Console, heading: str, sentences: Sequence[object]) -> None:
    output.say(console, f"\n{len(sentences):,} {heading}")
    for sentence in sentences[:_SHOWN]:
        output.say(console, f"  {sentence}")
    if len(sentences) > _SHOWN:
        output.say(console, f"  … and {len(sentences) - _SHOWN:,} more; --json FILE has them all")
