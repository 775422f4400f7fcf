"""``lungsight`` itself: imports the command that is called, and prints an error as one sentence."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from lungsight import RESEARCH_ONLY, __version__
from lungsight.cli.output import take_any_character
from lungsight.errors import LungsightError, MissingExtraError

#: What `lungsight --help` shows. A command lives in the module of its name and is imported only when it is called,
#: so that scanning never waits for pandas or torch.
COMMANDS = {
    "scan": "Look for signs of COVID-19 in X-rays.",
    "pacs": "Take images from an archive, and put findings into the same studies.",
    "triage": "Put findings in order of urgency, each rank explained.",
    "serve": "Open the reading room: a page where people look at X-rays.",
    "data": "List, get, build and check collections of images.",
    "phantom": "Draw simulated chest X-rays whose label is known.",
    "find-lr": "Search for a learning rate and draw the curve.",
    "train": "Train a detector by a recipe.",
    "demo": "Train two models, one on a planted letter, and tell them apart.",
    "evaluate": "Test a detector on images it never saw.",
    "compare": "Set tests of several models side by side.",
    "adapt": "Adapt a detector to your hospital by its labelled images.",
    "package": "Verify and describe a model package.",
    "verify": "Check every file of a model package, and that its networks give the reference outputs.",
}
#: Which extra brings all that a command needs, where the base installation doesn't.
_EXTRA_OF_COMMAND = {
    "adapt": "report",
    "compare": "report",
    "demo": "train",
    "evaluate": "report",
    "find-lr": "train",
    "serve": "serve",
    "train": "train",
}
#: Which extra brings a module that the base installation lacks.
_EXTRAS = {
    **dict.fromkeys(("accelerate", "fastai", "fastcore", "onnxscript", "timm"), "train"),
    **dict.fromkeys(("tomli_w", "torch", "torchvision"), "train"),
    **dict.fromkeys(("matplotlib", "sklearn"), "report"),
    **dict.fromkeys(("cv2", "filelock", "imagehash", "pandas", "platformdirs", "pooch"), "data"),
    **dict.fromkeys(("requests", "scipy"), "data"),
    **dict.fromkeys(("fastapi", "sqlalchemy", "starlette", "uvicorn"), "serve"),
    "openvino": "openvino",
    "pyarrow": "parquet",
    **dict.fromkeys(("fsspec", "ray"), "ray"),
    **dict.fromkeys(("contourpy", "dicomweb_client", "highdicom", "httpx", "pynetdicom"), "hospital"),
}
INTERRUPTED = 130
#: Commands that, when they are given again, leave out what an earlier call has done.
_RESUMED = {"adapt", "data check", "data get", "demo", "evaluate", "pacs", "phantom", "scan", "serve", "train"}
_CALLED = "lungsight.called"


class Root(TyperGroup):
    """Commands stand in it by name and summary; the one that is called is imported."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that ``args`` name, imported."""
        ctx.meta[_CALLED] = args
        name, summary, rest = super().resolve_command(ctx, args)
        return name, summary and _imported(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error becomes its sentence and exit status."""
        try:
            return super().invoke(ctx)
        except LungsightError as problem:
            _end(problem, problem.exit_status)
        except KeyboardInterrupt:
            _end(_stopped(ctx.meta[_CALLED]), INTERRUPTED)
        except ModuleNotFoundError as error:
            _end(_missing_extra(error, ctx.invoked_subcommand), MissingExtraError.exit_status)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone: typer ends quietly
                raise
            _end(_of_the_system(error), LungsightError.exit_status)


def _imported(name: str) -> Any:
    """The command ``name`` from its module: ``app`` (a group of commands) or ``command`` (a function)."""
    module = import_module(f"lungsight.cli.{name.replace('-', '_')}")
    if hasattr(module, "app"):
        group = typer.main.get_group(module.app)
        group.name = name
        return _flowing(group)
    single = typer.Typer(add_completion=False, rich_markup_mode="rich")
    single.command(name)(module.command)
    return _flowing(typer.main.get_command(single))


def _flowing(command: Any) -> Any:
    """``command``, its help in paragraphs that a terminal of any width can break: typer keeps the source's lines."""
    paragraphs = cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for one in getattr(command, "commands", {}).values():
        _flowing(one)
    return command


def _stopped(called: list[str]) -> str:
    resumes = " The same command resumes." if {called[0], " ".join(called[:2])} & _RESUMED else ""
    return f"Stopped. What was already written is whole.{resumes}"


def _missing_extra(error: ModuleNotFoundError, command: str | None) -> MissingExtraError:
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRAS:
        raise error
    extra = _EXTRA_OF_COMMAND.get(command or "", _EXTRAS[module])
    return MissingExtraError(module, "is not installed", f"`pip install 'lungsight[{extra}]'` brings it")


def _of_the_system(error: OSError) -> LungsightError:
    """A full disk, a folder that may not be written: what the system says, with the file."""
    if error.strerror is None:
        raise error
    return LungsightError(
        error.filename or "the system", error.strerror[0].lower() + error.strerror[1:], "put that right first"
    )


def _end(sentence: object, exit_status: int) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(exit_status)


app = typer.Typer(cls=Root, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _version(asked: bool) -> None:
    if asked:
        print(f"lungsight {__version__}")
        raise typer.Exit


@app.callback(
    help=f"Finds signs of COVID-19 in chest X-rays, and shows how far its finding can be trusted.\n\n{RESEARCH_ONLY}",
    epilog="Example: [bold]lungsight scan chest.png --html finding.html[/bold]",
)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None: ...


def _summarise(name: str, summary: str) -> None:
    @app.command(name, help=summary)
    def summary_only() -> None: ...


for _name, _summary in COMMANDS.items():
    _summarise(_name, _summary)


def main() -> None:
    """The entry point of the console script."""
    take_any_character()
    app(prog_name="lungsight")
