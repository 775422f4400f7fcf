"""A room with a small model, and a browser to look at it: Debian's Chromium without a screen."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detector_fixtures import cropping
from served_room import PATIENCE, Served

pytest.importorskip("playwright", reason="Playwright is not installed")
pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

__all__ = ["cropping"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


OpenRoom = Callable[..., Served]


@pytest.fixture
def open_room(tmp_path: Path, cropping: Path) -> Iterator[OpenRoom]:
    """Opens rooms; what it is given are their settings."""
    with contextlib.ExitStack() as stack:

        def opened(**settings: Any) -> Served:
            served = Served(cropping, tmp_path / "store", settings)
            served.start()
            stack.callback(served.stop)
            return served

        yield opened


@pytest.fixture
def room(open_room: OpenRoom) -> Served:
    return open_room()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages that fail the test if a script raises, or if the security policy stops something."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def opened(width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Security Policy" in said.text else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()
