"""``lungsight serve``: the reading room, a web application on this machine."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from lungsight.cli import output
from lungsight.errors import LungsightError
from lungsight.package import find_package
from lungsight.package.bundled import DEFAULT

_LOOPBACK = "127.0.0.1"


def command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Images to take in: files, folders, zip archives. Evidence reports in them can be browsed.",
            metavar="[PATH…]",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="The model: a bundled one by its name, or a package's folder or zip.", metavar="NAME_OR_PATH"
        ),
    ] = DEFAULT,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps images, findings and reads.", metavar="DIR", show_default="in your home folder"
        ),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Show no finding of an image before it is read, in pages and API.")
    ] = False,
    keep_identifiers: Annotated[
        bool, typer.Option("--keep-identifiers", help="Keep and show names of files and patients' IDs.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs --token.")
    ] = _LOOPBACK,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 0: any.", show_default="8365, or the next"),
    ] = None,
    token: Annotated[
        str,
        typer.Option(
            envvar="LUNGSIGHT_TOKEN",
            help="A secret of 16 characters or more that every request needs. Better given in LUNGSIGHT_TOKEN.",
            show_default=False,
        ),
    ] = "",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Another host name under which the room may be asked. Can be repeated."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the room in the browser.")] = True,
    rule: Annotated[
        Path | None,
        typer.Option(help="A rule of urgency of your own, in TOML.", metavar="FILE", show_default="lungsight's own"),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Cores to scan with; 0 is all of them.")] = 0,
) -> None:
    """Open the reading room: drop X-rays into a page, look at them with the model's answer, and say what you see.

    It works without a network, and listens to this machine alone. What it keeps is in --store; the same command goes
    on where it was stopped. Ctrl-C ends it.

    Example: [bold]lungsight serve[/bold]

    Example: [bold]lungsight serve wards/ --blind[/bold]
    """
    from lungsight.room.application import bound, server
    from lungsight.room.safety import FEWEST_CHARACTERS, Access, is_loopback
    from lungsight.room.state import Room, Settings
    from lungsight.room.store import usual_folder

    console, problems = output.console(), output.console(stderr=True)
    if token and len(token) < FEWEST_CHARACTERS:
        raise typer.BadParameter(f"--token: a token has at least {FEWEST_CHARACTERS} characters.")
    if not token and not is_loopback(host):
        hint = "give a --token, or use an SSH tunnel to 127.0.0.1"
        raise LungsightError(host, "can be reached from other machines, and no token guards the room", hint)
    for path in folders or ():
        if not path.exists():
            raise LungsightError(path, "there is no such file or folder", "check the path")
    settings = Settings(
        find_package(model), store or usual_folder(), tuple(folders or ()), blind=blind,
        keep_identifiers=keep_identifiers, token=token, rule=rule, threads=threads,
    )  # fmt: skip
    listening = bound(host, port)
    room = Room(settings, lambda sentence: output.say(problems, sentence))
    address = _address(host, listening.getsockname()[1])
    output.say(console, f"The reading room is open at {address} (Ctrl-C closes it).")
    if browser:
        opened = f"{address}?token={token}" if token else address
        threading.Thread(target=webbrowser.open, args=(opened,), daemon=True).start()
    access = Access.to(room.store.key, host, token, name or ())
    server(room, access).run(sockets=[listening])


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": _LOOPBACK, "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
