"""imagecodecs, as lungsight asks it, against the libraries that it replaced, stream by stream: what each reads, what
each makes of data that is cut short, how long each takes, how much room each needs.

    pip install pyjpegls pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg
    python benchmarks/speed/decoders.py docs/results/decoders.csv

Rounds alternate between the two, so that a busy machine slows both; the ratio is the median over the rounds.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any

import imagecodecs
import jpeg_ls
import libjpeg
import numpy as np
import openjpeg
from numpy.typing import NDArray

from lungsight.datasets.phantom import Label, draw
from lungsight.reading.codestream import stream_of
from lungsight.reading.imagecodecs_samples import decoded

Samples = NDArray[Any]
Decode = Callable[[bytes], Samples]
SIDE = 1500
ROUNDS = 7
PACKAGES = {
    "imagecodecs": ("imagecodecs", "tifffile"),
    "those replaced": ("pyjpegls", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle"),
}


def _now(data: bytes) -> Samples:
    stream = stream_of(data)
    assert stream is not None
    return decoded(data, stream)


def _charls(data: bytes) -> Samples:
    return np.asarray(jpeg_ls.decode(np.frombuffer(data, np.uint8)))


def _jpeg_2000(samples: Samples) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(samples, level=0, codecformat="j2k", bitspersample=12))


def _early(jpeg: bytes) -> bytes:
    """Its scan header ends at coefficient 0, as in NEMA's samples."""
    place = jpeg.find(b"\xff\xda") + 8
    return jpeg[:place] + b"\0" + jpeg[place + 1 :]


@dataclass(frozen=True)
class Kind:
    """A kind of stream, what decoded it before, by how much a right answer may differ, the bits left out of 12."""

    encode: Callable[[Samples], bytes]
    before: Decode
    tolerance: int = 0
    left_out: int = 0


def _lossless(samples: Samples, predictor: int = 1) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(samples, lossless=True, bitspersample=12, predictor=predictor))


def _extended(samples: Samples) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(samples, level=90, bitspersample=12))


def _padded(samples: Samples) -> bytes:
    data = bytes(imagecodecs.jpegls_encode(samples))
    return data[:-2] + b"\0" + data[-2:]


def _eight(samples: Samples) -> bytes:
    return bytes(imagecodecs.jpeg8_encode((samples >> 4).astype(np.uint8), level=90))


KINDS = {
    "JPEG, 8 bits": Kind(_eight, libjpeg.decode, tolerance=40, left_out=4),
    "JPEG, 12 bits": Kind(_extended, libjpeg.decode, tolerance=200),
    "JPEG, 12 bits, scan ends early": Kind(lambda a: _early(_extended(a)), libjpeg.decode, tolerance=200),
    "JPEG lossless": Kind(_lossless, libjpeg.decode),
    "JPEG lossless, predictor 6": Kind(lambda a: _lossless(a, 6), libjpeg.decode),
    "JPEG-LS": Kind(lambda a: bytes(imagecodecs.jpegls_encode(a)), _charls),
    "JPEG-LS, padded": Kind(_padded, _charls),
    "JPEG 2000": Kind(_jpeg_2000, openjpeg.decode),
    "HTJ2K": Kind(lambda a: bytes(imagecodecs.htj2k_encode(a)), openjpeg.decode),
}


def outcome(decode: Decode, data: bytes, expected: Samples, tolerance: int) -> str:
    """``right``, ``wrong`` or ``refused``."""
    try:
        samples = decode(data)
    except Exception:  # each raises its own
        return "refused"
    if samples.shape != expected.shape:
        return "wrong"
    return "right" if np.abs(samples.astype(int) - expected).max() <= tolerance else "wrong"


def seconds(decode: Decode, data: bytes) -> float:
    start = time.perf_counter()
    decode(data)
    return time.perf_counter() - start


def measured(kind: Kind, film: Samples) -> dict[str, Any]:
    data = kind.encode(film)
    cut = data[: int(len(data) * 0.6)]
    found: dict[str, Any] = {"bytes": len(data)}
    expected = film >> kind.left_out
    for who, decode in (("now", _now), ("before", kind.before)):
        found[who] = outcome(decode, data, expected, kind.tolerance)
        found[f"{who}, cut short"] = outcome(decode, cut, expected, kind.tolerance)
    if found["now"] == found["before"] == "right":
        rounds = [(seconds(_now, data), seconds(kind.before, data)) for _ in range(ROUNDS)]
        found["ms now"] = round(1000 * statistics.median(now for now, _ in rounds))
        found["ms before"] = round(1000 * statistics.median(before for _, before in rounds))
        found["times as quick"] = round(statistics.median(before / now for now, before in rounds), 2)
    return found


def megabytes(packages: tuple[str, ...]) -> float:
    placed = [Path(str(file.locate())) for package in packages for file in files(package) or ()]
    return round(sum(path.stat().st_size for path in placed if path.is_file()) / 1e6, 1)


def main() -> None:
    film = np.rint(draw(1, next(iter(Label)), size=SIDE).pixels * 4095).astype(np.uint16)
    rows = [{"stream": name, **measured(kind, film)} for name, kind in KINDS.items()]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    for name, packages in PACKAGES.items():
        print(f"{name}: {megabytes(packages)} MB installed ({', '.join(packages)})")


if __name__ == "__main__":
    main()
