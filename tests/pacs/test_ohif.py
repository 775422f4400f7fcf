"""What a viewer shows of the results: OHIF in Chromium, against a real Orthanc. Valid isn't displayable.

`pytest -m long tests/pacs/test_ohif.py` fetches OHIF from npm (50 MB), unless LUNGSIGHT_OHIF names its files.
LUNGSIGHT_PICTURES names a folder for the pictures.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import highdicom as hd
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from dicom_phantom import phantom_dx, phantom_pixels
from image_files import dicom_bytes
from lungsight.dicom_results.objects import Kind, ResultObjects
from lungsight.inference import Detector
from lungsight.package import find_package
from lungsight.reading import ImageFile
from lungsight.scanning.scan import scan_found
from network_namespace import Namespace
from ohif_viewer import VIEWER, ohif_files, serve_ohif
from orthanc_server import OrthancServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

_TITLES = {
    Kind.SC: "lungsight picture",
    Kind.SR: "lungsight findings",
    Kind.SEG: "lungsight lungs",
    Kind.GSPS: "lungsight overlay",
}
#: Under load OHIF may open a report before it has the image, and then draws nothing: the page is opened again.
_TIMES, _SECONDS = 4, 40
_OPTIONS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A phantom and its four objects, by the model that ships."""
    file = tmp_path_factory.mktemp("study") / "image.dcm"
    file.write_bytes(dicom_bytes(phantom_dx(phantom_pixels(3, size=512), "3")))
    detector = Detector.load(find_package(), threads=1, keep_header=True)
    finding = next(scan_found([ImageFile.at(file)], detector, threads=1, keep_images=True))
    made = ResultObjects(detector, list(Kind)).of(finding)
    assert len(made) == 4
    return {"image": file.read_bytes()} | {one.kind: one.as_bytes() for one in made}


@pytest.fixture
def viewer(network: Namespace, orthanc: OrthancServer, study: dict[str, bytes], tmp_path: Path) -> str:
    """The address of the study in OHIF."""
    if shutil.which("chromium") is None:
        pytest.skip("Debian's chromium is not installed")
    network.run(serve_ohif, ohif_files(tmp_path))
    return f"{VIEWER}/viewer?StudyInstanceUIDs={_read(study['image']).StudyInstanceUID}"


def _read(data: bytes) -> Dataset:
    return dcmread(BytesIO(data))


def _regions(report: bytes) -> int:
    """The regions that a report states."""
    content = hd.sr.Comprehensive3DSR.from_dataset(_read(report)).content
    return len(content.get_planar_roi_measurement_groups())


class Shown(NamedTuple):
    """What is in the viewport: the share that isn't black, the share in colour, and the outlines drawn over it."""

    bright: float
    coloured: float
    outlines: int

    @classmethod
    def on(cls, page: Page, kind: str) -> Shown:
        picture = page.locator("[data-cy=viewport-pane]").first.screenshot()
        if folder := os.environ.get("LUNGSIGHT_PICTURES"):
            Path(folder, f"ohif-{kind}.png").write_bytes(picture)
        pixels = np.asarray(Image.open(BytesIO(picture)).convert("RGB")).astype(int)
        middle = pixels[pixels.shape[0] // 5 :, :]  # below the bars of the viewer, which are blue
        coloured = middle.max(axis=2) - middle.min(axis=2) > 40
        outlines = page.locator("svg.svg-layer > polyline").count()
        return cls(float((middle.max(axis=2) > 40).mean()), float(coloured.mean()), outlines)


def _seen(address: str, kind: Kind, is_whole: Callable[[Shown], bool]) -> Shown:
    """What a series shows once it is whole, or patience has ended."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=_OPTIONS)
        for _ in range(_TIMES):
            page = browser.new_page(viewport={"width": 1500, "height": 900})
            page.set_default_timeout(180_000)
            page.goto(address)
            page.locator("text=Skip all").click()
            page.locator(f"text={_TITLES[kind]}").first.dblclick()
            deadline = time.monotonic() + _SECONDS
            while not is_whole(shown := Shown.on(page, kind)) and time.monotonic() < deadline:
                time.sleep(2)
            if is_whole(shown):
                break
            page.close()
        return shown


@pytest.mark.parametrize("kind", [Kind.SC, Kind.SR, Kind.SEG, Kind.GSPS])
def test_the_viewport_is_not_black_and_what_is_stated_is_drawn(
    network: Namespace, orthanc: OrthancServer, study: dict[str, bytes], viewer: str, kind: Kind
) -> None:
    for data in (study["image"], study[kind]):
        network.run(orthanc.take, data)
    stated = _regions(study[Kind.SR])
    whole: dict[Kind, Callable[[Shown], bool]] = {
        Kind.SC: lambda shown: shown.coloured > 0.01,  # evidence and outline
        Kind.SR: lambda shown: shown.outlines >= stated,
        Kind.SEG: lambda shown: shown.coloured > 0.05,  # the lungs
        Kind.GSPS: lambda shown: False,  # OHIF marks it as unsupported, and goes on showing the image
    }
    shown = network.run(_seen, viewer, kind, whole[kind])
    print(f"{kind}: bright {shown.bright:.2f}, in colour {shown.coloured:.3f}, {shown.outlines} outlines of {stated}")
    assert shown.bright > 0.2
    assert shown.outlines == (stated if kind is Kind.SR else 0)
    assert whole[kind](shown) or kind is Kind.GSPS
