"""axe finds nothing serious on any page, light or dark."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from served_room import Served, chest_file, open_viewer

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: axe-core is installed by .ci/run, or named by LUNGSIGHT_AXE; it isn't ours to ship.
_AXE = Path(
    os.environ.get("LUNGSIGHT_AXE")
    or Path(__file__).parents[3] / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
)


def serious(page: Page) -> list[str]:
    page.evaluate(_AXE.read_text("utf-8"))  # a script element would be stopped by the page's security policy
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {one['help']} ({node['target']} {node['failureSummary']})"
        for one in found["violations"]
        for node in one["nodes"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.skipif(not _AXE.is_file(), reason="axe-core is not installed (see .ci/run)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious(room: Served, new_page: Callable[..., Page], scheme: str) -> None:
    page = new_page(color_scheme=scheme)
    first, _ = room.take(page, chest_file(1), chest_file(2))
    for path in ("/", "/help", "/room", "/evidence"):
        page.goto(room.address + path)
        page.wait_for_load_state("load")
        page.wait_for_timeout(200)
        assert serious(page) == [], path
    open_viewer(page, room, first)
    page.keyboard.press("h")
    assert serious(page) == []
    page.keyboard.press("?")
    assert serious(page) == []
