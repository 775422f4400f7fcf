"""The room's pages: templates without anything of an image in them, and the files that they load."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateNotFound
from starlette.responses import Response

from lungsight import RESEARCH_ONLY, __version__
from lungsight._text import as_words, fixed, percent, signed
from lungsight.room import evidence
from lungsight.room.problems import ProblemError
from lungsight.room.state import ImageId, room_of

router = APIRouter(include_in_schema=False)

_STATIC = Path(str(resources.files("lungsight.room") / "static"))
#: The design that reports and findings have, too.
_BASE = Path(str(resources.files("lungsight") / "templates" / "base.css"))
_FOR_EVER = "public, max-age=31536000, immutable"
_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


@cache
def static_digest() -> str:
    """A digest of every file that pages load: it is in their addresses, so that they can be kept for ever."""
    digest = hashlib.sha256()
    for file in (_BASE, *sorted(_STATIC.rglob("*"))):
        if file.is_file():
            digest.update(f"{file.name}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def asset(path: str) -> str:
    """The address of a file that pages load."""
    return f"/static/{static_digest()}/{path}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lungsight.room"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=as_words, percent=percent, signed=signed, fixed=fixed)
    environment.globals.update(research_only=RESEARCH_ONLY, version=__version__, asset=asset)
    return environment


def _page(request: Request, name: str, **content: Any) -> Response:
    try:
        template = _environment().get_template(f"{name}.html.j2")
    except TemplateNotFound:
        return HTMLResponse(f"<!doctype html><title>lungsight</title><p>{RESEARCH_ONLY}<p>This page isn't made yet.")
    return HTMLResponse(template.render(room=room_of(request).as_json(), **content))


@router.get("/")
def worklist(request: Request) -> Response:
    """The worklist."""
    return _page(request, "worklist")


@router.get("/images/{image_id}")
def viewer(request: Request, image_id: ImageId) -> Response:
    """One image."""
    if room_of(request).listing.found(image_id) is None:
        raise ProblemError(
            404, "There is no such image.", "It may have been deleted; the worklist has those that are here."
        )
    return _page(request, "viewer", image_id=image_id)


@router.get("/room")
def agreement(request: Request) -> Response:
    """This room's own reads."""
    return _page(request, "room")


@router.get("/help")
def keys(request: Request) -> Response:
    """Keys and words."""
    return _page(request, "help")


@router.get("/evidence")
def reports(request: Request) -> Response:
    """The evidence reports and comparisons."""
    return _page(request, "evidence", reports=[report.as_json() for report in room_of(request).reports])


@router.get("/evidence/{number}/{path:path}")
def report_file(request: Request, number: int, path: str) -> Response:
    """A file of a report."""
    report = next((report for report in room_of(request).reports if report.number == number), None)
    file = None if report is None else report.file(path)
    if file is None:
        raise ProblemError(404, "There is no such file in a report.", "The page /evidence lists the reports.")
    headers = {"content-security-policy": evidence.CSP}
    return FileResponse(file, media_type=evidence.MEDIA_TYPES[file.suffix.lower()], headers=headers)


@router.get("/static/{digest}/{path:path}")
def static(digest: str, path: str) -> Response:
    """A file that pages load."""
    file = _BASE if path == _BASE.name else (_STATIC / path).resolve()
    if not (file.parent in (_STATIC.resolve(), _BASE.parent) and file.is_file() and file.suffix in _MEDIA_TYPES):
        raise ProblemError(404, "There is no such file.")
    kept = _FOR_EVER if digest == static_digest() else "no-store"
    return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers={"cache-control": kept})


@router.get("/favicon.ico")
def favicon() -> Response:
    """The icon, if there is one."""
    file = _STATIC / "icon.svg"
    return FileResponse(file, media_type="image/svg+xml") if file.is_file() else Response(status_code=204)
