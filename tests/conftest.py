"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Nothing is fetched while testing, whichever library would like to.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

_SHARED = Path(os.environ.get("LUNGSIGHT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real image collections; the test is skipped where they are absent."""
    if not _SHARED.is_dir():
        pytest.skip(f"no image collections at {_SHARED}")
    return _SHARED
