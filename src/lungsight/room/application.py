"""The room as a web application, and the server that runs it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from lungsight import RESEARCH_ONLY, __version__
from lungsight.errors import LungsightError
from lungsight.room import answers, api, pages
from lungsight.room.problems import handle_problems
from lungsight.room.safety import Access, Safety
from lungsight.room.state import Room

_DESCRIPTION = f"""\
{RESEARCH_ONLY} The answers are those of the command line: `GET /v1/images/{{id}}/finding` gives the line that
`lungsight scan --json` writes. Errors are `application/problem+json` (RFC 9457). `POST /v1/images` acknowledges an
image once it is on the disk."""
_TAGS = ("images", "pixels", "reads", "teaching", "room")
#: Seconds that open connections get when the room closes.
_GRACE = 5
_FIRST_PORT, _PORTS_TRIED = 8365, 20


def application(room: Room, access: Access) -> FastAPI:
    """The application; the room opens and closes with it."""

    @contextlib.asynccontextmanager
    async def open_and_close(_: FastAPI) -> AsyncIterator[None]:
        room.open()
        yield
        room.close()

    app = _bare(open_and_close)
    app.state.room = room
    app.include_router(pages.router)
    handle_problems(app)
    app.add_middleware(Safety, access=access)
    return app


def description() -> dict[str, Any]:
    """The OpenAPI description, without a room."""
    return _bare(None).openapi()


def _bare(lifespan: Any) -> FastAPI:
    app = FastAPI(
        title="lungsight reading room",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        openapi_tags=[{"name": name} for name in _TAGS],
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        lifespan=lifespan,
    )
    app.include_router(api.router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """The description, with errors as they are."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = schema["components"]["schemas"]
        schemas["Problem"] = answers.Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = schema
    return app.openapi_schema


class Server(uvicorn.Server):
    """Uvicorn, which ends the open event streams when it is told to stop."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at Ctrl-C."""
        self._stopping()
        super().handle_exit(sig, frame)


def server(room: Room, access: Access) -> Server:
    """A server for a room; run it with the sockets of :func:`bound`."""
    config = uvicorn.Config(
        application(room, access),
        log_level="error",
        access_log=False,  # addresses hold the names of files
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=512,
        proxy_headers=False,
    )
    return Server(config, room.events.close)


def bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens on ``host``, at ``port`` or the next free one from 8365 on.

    Raises:
        LungsightError: the address can't be had.
    """
    ports = range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED) if port is None else (port,)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    error: OSError | None = None
    for one in ports:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, one))
        except OSError as failed:
            made.close()
            error = failed
        else:
            made.listen(128)
            return made
    reason = (error.strerror if error is not None else None) or "no port is free"
    raise LungsightError(f"{host}:{port or _FIRST_PORT}", f"can't be listened on ({reason})", "give another --port")
