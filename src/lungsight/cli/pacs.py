"""``lungsight pacs``: images from an archive, results back into it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from lungsight import RESEARCH_ONLY
from lungsight._text import counted
from lungsight.cli import output
from lungsight.components.runtime import AUTO
from lungsight.inference import Detector
from lungsight.package import find_package
from lungsight.package.bundled import DEFAULT

if TYPE_CHECKING:
    from lungsight.pacs.sending import Archive
    from lungsight.pacs.store import Store

#: Some images were given up.
SOME_GIVEN_UP = 1
_LOOPBACK = "127.0.0.1"
_SHOWN = 20

app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)
_panel = partial(typer.Option, rich_help_panel="As a DICOM node")


def default_store() -> Path:
    """Where a service keeps its queue unless a folder is named: the user's state folder, by XDG."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lungsight" / "pacs"


@app.callback(invoke_without_command=True)
def command(
    context: typer.Context,
    orthanc: Annotated[
        str | None, typer.Option(help="Take what arrives in this Orthanc, and store results in it.", metavar="URL")
    ] = None,
    listen: Annotated[
        str | None, _panel(help="Take images by C-STORE, under this title on this port.", metavar="AET:PORT")
    ] = None,
    send: Annotated[
        str | None, _panel(help="Send results by C-STORE, with storage commitment.", metavar="AET@HOST:PORT")
    ] = None,
    stow: Annotated[
        str | None, _panel(help="Send results by STOW-RS to this DICOMweb service instead.", metavar="URL")
    ] = None,
    allow: Annotated[
        list[str] | None,
        _panel(help="A title that may call; --send's may. Can be repeated.", metavar="AET"),
    ] = None,
    bind: Annotated[str, _panel(help="The address to listen on; others than this machine's name it.")] = _LOOPBACK,
    model: Annotated[
        str, typer.Option(help="A bundled model by its name, or a package.", metavar="NAME_OR_PATH")
    ] = DEFAULT,
    dicom_objects: Annotated[str, typer.Option(help="The results: sc, sr, gsps, seg.", metavar="KIND,…")] = "sc,sr",
    store: Annotated[
        Path | None,
        typer.Option(
            help="The queue, and images and results that wait.",
            metavar="DIR",
            show_default="lungsight/pacs in the user's state folder",
        ),
    ] = None,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Leave out what is in Orthanc before the first start.")
    ] = False,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when everything that is there now is done.")
    ] = False,
    runtime: Annotated[str, typer.Option(help="What runs the networks, as for `lungsight scan`.")] = AUTO,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
) -> None:
    """Take chest X-rays from an archive, and put findings into the same studies, each exactly once.

    It goes on until Ctrl-C; stopped or killed, the same command goes on where it was. Standard error says what
    happens to each image, by its number in the queue; names and numbers of patients are never written there.

    Example: [bold]lungsight pacs --orthanc http://127.0.0.1:8042[/bold]

    Example: [bold]lungsight pacs --listen LUNGSIGHT:11112 --send PACS@10.0.0.5:104 --allow MODALITY1[/bold]

    Example: [bold]lungsight pacs status[/bold]
    """
    if context.invoked_subcommand is not None:
        context.obj = store or default_store()
        return
    _refuse_at_odds(orthanc, listen, send, stow, allow)
    _log_to_standard_error()
    from lungsight.dicom_results.objects import kinds_of
    from lungsight.pacs.service import Judge, Sender, serve
    from lungsight.pacs.store import Store

    kinds = kinds_of(dicom_objects)
    with Store(store or default_store()) as opened:
        receive, archive = _doors(opened, orthanc, listen, send, stow, allow or [], bind, new_only=new_only)
        detector = Detector.load(find_package(model), threads=1, runtime=runtime, keep_header=True)
        stopped = Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        print(f"{RESEARCH_ONLY} Ctrl-C ends it.", file=sys.stderr)
        serve(
            Judge(opened, detector, kinds, threads),
            Sender(opened, archive),
            receive,
            stopped,
            until_empty=until_empty,
        )


def _doors(
    store: Store,
    orthanc: str | None,
    listen: str | None,
    send: str | None,
    stow: str | None,
    allow: list[str],
    bind: str,
    *,
    new_only: bool,
) -> tuple[Callable[[Event], None], Archive]:
    """Where images come from, and where results go."""
    if orthanc is not None:
        from lungsight.pacs.orthanc import Follower, Orthanc

        followed = Orthanc(orthanc)
        return Follower(followed, store, new_only=new_only).run, followed
    from lungsight.pacs.dicom_node import Address, Node, Receiver

    ours = Address.of(str(listen), "--listen", host=bind)
    if send is not None:
        there = Address.of(send, "--send")
        return Receiver(store, ours, [*allow, there.title]).run, Node(there, ours.title, store)
    from lungsight.pacs.stow import Stow

    return Receiver(store, ours, allow).run, Stow(str(stow))


def _refuse_at_odds(
    orthanc: str | None, listen: str | None, send: str | None, stow: str | None, allow: list[str] | None
) -> None:
    if (orthanc is None) == (listen is None):
        raise typer.BadParameter("Give --orthanc URL, or --listen AET:PORT with --send or --stow.")
    if orthanc is not None and (send or stow):
        raise typer.BadParameter("--send and --stow are for --listen; results go into the Orthanc that is followed.")
    if listen is not None and (send is None) == (stow is None):
        raise typer.BadParameter("--listen needs --send AET@HOST:PORT or --stow URL.")
    if stow is not None and not allow:
        raise typer.BadParameter("--stow needs --allow AET, or nobody could send an image.")


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    log = logging.getLogger("lungsight.pacs")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


@app.command("status")
def status(
    context: typer.Context,
    store: Annotated[
        Path | None, typer.Option(help="The folder of the service.", metavar="DIR", show_default="as above")
    ] = None,
) -> None:
    """Show the queue: how many images wait at which step, and what is wrong with which.

    The exit status is 1 when images were given up.

    Example: [bold]lungsight pacs status --store /var/lib/lungsight[/bold]
    """
    from lungsight.pacs.queue import State
    from lungsight.pacs.store import open_queue

    with open_queue(store or context.obj) as queue:
        found = queue.counts()
    console = output.console()
    console.print(output.table(["state", "images"], found.images.items(), numbers=["images"]))
    if found.oldest is not None:
        output.say(console, f"The image that has waited longest has waited {found.oldest:.0f} s.")
    for reason, times in found.passed_by.items():
        output.say(console, f"{counted(times, 'other object')} passed by: {reason}.")
    for number, state, reason in found.problems[:_SHOWN]:
        output.say(console, f"Image {number}, {state}: {reason}")
    if len(found.problems) > _SHOWN:
        output.say(console, f"And {len(found.problems) - _SHOWN:,} more.")
    if found.images[State.GIVEN_UP]:
        raise typer.Exit(SOME_GIVEN_UP)
