"""Images an hour through the whole loop, against the scanner alone: `python benchmarks/hospital/rate.py`.

Phantoms go into an Orthanc in a network namespace (root), `lungsight pacs` takes them and stores its results; then
`lungsight scan` scans the same files, and scans them again with --dicom. Each is one process, from its start on.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from dicom_phantom import phantom_dx, phantom_pixels  # noqa: E402
from image_files import dicom_bytes  # noqa: E402
from network_namespace import Namespace  # noqa: E402
from orthanc_server import URL, OrthancServer  # noqa: E402

_ANATOMIES = 4
#: `lungsight pacs --until-empty` waits so long for more before it ends.
_QUIET = 6


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--images", type=int, default=40)
    asked.add_argument("--side", type=int, default=2048)
    asked.add_argument("--threads", type=int, default=2)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), options.images, options.side, str(options.threads))


def _measure(folder: Path, images: int, side: int, threads: str) -> None:
    films = folder / "films"
    films.mkdir()
    pixels = [phantom_pixels(seed, size=side) for seed in range(_ANATOMIES)]
    for number in range(images):
        (films / f"{number}.dcm").write_bytes(dicom_bytes(phantom_dx(pixels[number % _ANATOMIES], str(number))))
    print(f"{images} images of {pixels[0].shape}, {threads} threads, load {os.getloadavg()[0]:.1f}", flush=True)
    _shown("scan", images, ["scan", str(films), "--threads", threads, "--csv", str(folder / "f.csv")])
    with_results = ["--dicom", str(folder / "results"), "--csv", str(folder / "g.csv")]
    _shown("scan --dicom", images, ["scan", str(films), "--threads", threads, *with_results])
    network = Namespace()
    network.run(_loop, folder, films, images, threads)
    network.close()
    print(f"load {os.getloadavg()[0]:.1f}")


def _loop(folder: Path, films: Path, images: int, threads: str) -> None:
    orthanc = OrthancServer(folder)
    orthanc.start()
    for film in films.iterdir():
        orthanc.take(film.read_bytes())
    words = ["pacs", "--orthanc", URL, "--store", str(folder / "store"), "--threads", threads, "--until-empty"]
    _shown("pacs --orthanc", images, words, less=_QUIET)
    sets = orthanc.results().values()
    print(f"{sum(one['SR'] == one['OT'] == 1 for one in sets)} of {len(sets)} studies have their results", flush=True)
    orthanc.stop()


def _shown(name: str, images: int, words: list[str], less: float = 0) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "lungsight", *words], capture_output=True, check=True)
    seconds = time.monotonic() - begun - less
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{name}: {seconds:.1f} s, {3600 * images / seconds:,.0f} images an hour, {cpu / images:.2f} CPU s an image",
        flush=True,
    )


if __name__ == "__main__":
    main()
