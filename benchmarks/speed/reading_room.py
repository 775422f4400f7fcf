"""How long the reading room takes to show a large image, and how long one frame takes while its window is dragged.

    python benchmarks/speed/reading_room.py docs/results/reading_room.csv

A room of its own is opened on a phantom of 2880 × 3520 pixels and 12 bits; Chromium without a screen or a GPU looks
at it. Each page is opened ``ROUNDS`` times in a new browser context. A frame is everything from the dragged window to
the pixels on the canvas. The load of the machine stands beside the figures, since it changes them.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.pixels import set_pixel_data
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from lungsight.datasets.phantom import Label, draw
from machine import describe

HEIGHT, WIDTH = 3520, 2880
ROUNDS, FRAMES = 5, 200
#: Width and height of the browser's window: a laptop's, a monitor's, a 4K screen's.
WINDOWS = ((1400, 1000), (1920, 1200), (3840, 2160))

_FRAMES = """async count => {
  const { film } = document.querySelector(".film");
  const times = [];
  for (let n = 0; n < count; n += 1) {
    film.drag(n % 2 ? 0.01 : -0.01, n % 20 < 10 ? 0.02 : -0.02);
    const start = performance.now();
    film.draw();
    times.push(performance.now() - start);
    if (n % 10 === 9) await new Promise(requestAnimationFrame);
  }
  return { times, width: film.canvas.width, height: film.canvas.height };
}"""
_SHOWN = """() => {
  const entry = performance.getEntriesByName("first-picture")[0];
  const sharp = performance.getEntriesByName("sharp-picture")[0];
  return entry && sharp ? [entry.startTime, sharp.startTime] : null;
}"""


def main(out: Path) -> None:
    machine = describe(os.cpu_count() or 1)
    with (
        tempfile.TemporaryDirectory() as folder,
        _room(Path(folder)) as (address, opened),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        rows = [{"what": "room opened", "window": "", "n": 1, "median_ms": round(1000 * opened), "p95_ms": ""}]
        image = _sent(browser, address, _film())
        for window in WINDOWS:
            rows += _measured(browser, address, image, window)
        browser.close()
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "cpu", "load_before", "load_after"])
        writer.writeheader()
        known = {"cpu": machine["cpu"], "load_before": machine["load_before"], "load_after": load}
        writer.writerows(row | known for row in rows)
    for row in rows:
        print(*row.values(), sep="\t")


def _film() -> bytes:
    """A phantom as a DICOM file of 10 megapixels and 12 bits, with a detector's noise."""
    small = draw(7, Label.COVID19, size=512).pixels
    large = np.asarray(Image.fromarray(small.astype(np.float32)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    noisy = large + np.random.default_rng(7).normal(0, 0.01, large.shape)
    stored = np.rint(np.clip(noisy, 0, 1) * 4095).astype(np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    dataset.Modality, dataset.ViewPosition, dataset.ImagerPixelSpacing = "DX", "PA", [0.125, 0.125]
    dataset.WindowCenter, dataset.WindowWidth = 2048, 3600
    set_pixel_data(dataset, stored, "MONOCHROME2", 12, generate_instance_uid=False)
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


@contextmanager
def _room(folder: Path) -> Iterator[tuple[str, float]]:
    """A room's address, and the seconds until it answers."""
    command = [
        sys.executable,
        "-m",
        "lungsight",
        "serve",
        "--no-browser",
        "--port",
        "0",
        "--store",
        str(folder / "room"),
    ]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = next(m for line in process.stdout if (m := re.search(r"http://\S+?(?=/? |/?$)", line)))
            yield found[0], time.perf_counter() - started
        finally:
            process.terminate()


def _sent(browser: Browser, address: str, data: bytes) -> str:
    request = browser.new_context().request
    headers = {"Content-Type": "application/octet-stream", "Origin": address}
    answer = request.post(f"{address}/v1/images", data=data, headers=headers).json()
    identity = str(answer["images"][0]["id"])
    while request.get(f"{address}/v1/images/{identity}").json()["state"] not in ("done", "error"):
        time.sleep(0.2)
    return identity


def _measured(browser: Browser, address: str, image: str, window: tuple[int, int]) -> list[dict[str, Any]]:
    lists, firsts, sharps, frames, canvas = [], [], [], [], ""
    for _ in range(ROUNDS):
        context = browser.new_context(viewport={"width": window[0], "height": window[1]})
        page = context.new_page()
        lists.append(_time_of_list(page, address))
        page.goto(f"{address}/images/{image}")
        page.wait_for_selector("body[data-shown]")
        first, sharp = page.evaluate(_SHOWN)
        firsts.append(first)
        sharps.append(sharp)
        found = page.evaluate(_FRAMES, FRAMES)
        frames += found["times"][20:]  # the first are not yet compiled
        canvas = f"{found['width']} × {found['height']}"
        context.close()
    name = f"{window[0]} × {window[1]}"
    return [
        _row("worklist shown", name, lists),
        _row("first picture", name, firsts),
        _row("sharp picture", name, sharps),
        _row(f"frame of window and level, canvas of {canvas}", name, frames),
    ]


def _time_of_list(page: Page, address: str) -> float:
    page.goto(address)
    page.wait_for_selector("#rows tr")
    return float(page.evaluate("performance.getEntriesByName('list-shown')[0].startTime"))


def _row(what: str, window: str, times: list[float]) -> dict[str, Any]:
    late = statistics.quantiles(times, n=20)[-1] if len(times) >= 20 else max(times)
    return {
        "what": what,
        "window": window,
        "n": len(times),
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(late, 1),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
