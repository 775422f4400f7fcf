"""Reads mutants of the seeds it is given and reports on each, each format in a process of its own: a native decoder
that crashes or hangs takes only this process with it.

    python fuzz_worker.py SEED_FOLDER REPORT_FOLDER FIRST COUNT FORMAT…

For each format ``FORMAT.out`` has a line per mutant: its number before it is read, then what became of it.
``FORMAT.err`` is what was written to standard error, ``FORMAT.status`` the exit status.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import sys
import tempfile
import traceback
from pathlib import Path

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile, read_radiograph, walk_images

SECONDS_PER_MUTANT = 20
MEMORY = 6 * 2**30
EXTREMES = (b"\0", b"\xff", b"\0\0", b"\xff\xff", b"\x7f\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff")


def mutant(seeds: list[bytes], number: int) -> bytes:
    """The mutant of this number, always the same for the same seeds."""
    chance = random.Random(number)
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 4))):
        chance.choice((_flip, _flip, _flip_in_header, _extreme, _truncate, _splice, _remove))(data, seeds, chance)
    return bytes(data)


def _flip(data: bytearray, _seeds: list[bytes], chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 8, 32))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _flip_in_header(data: bytearray, _seeds: list[bytes], chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 4))):
        if data:
            data[chance.randrange(min(len(data), chance.choice((64, 512, 2048))))] = chance.randrange(256)


def _extreme(data: bytearray, _seeds: list[bytes], chance: random.Random) -> None:
    value = chance.choice(EXTREMES)
    place = chance.randrange(min(len(data), chance.choice((256, 2048, 10**9))) + 1)
    data[place : place + len(value)] = value


def _truncate(data: bytearray, _seeds: list[bytes], chance: random.Random) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _splice(data: bytearray, seeds: list[bytes], chance: random.Random) -> None:
    other = chance.choice(seeds)
    start = chance.randrange(len(other))
    part = other[start : start + chance.choice((4, 64, 1024, 10**9))]
    place = chance.randrange(len(data) + 1)
    data[place : place + len(part)] = part


def _remove(data: bytearray, _seeds: list[bytes], chance: random.Random) -> None:
    place = chance.randrange(len(data) + 1)
    del data[place : place + chance.choice((1, 2, 16, 256))]


def read(path: Path) -> str:
    """What becomes of the file: ``read``, ``problem``, or an assertion error."""
    found = list(walk_images([path]))
    assert found, "walk_images says nothing of a file given by name"
    return " ".join(_read_one(one) for one in found)


def _read_one(found: ImageFile | UnreadableImageError) -> str:
    if isinstance(found, UnreadableImageError):
        assert "\n" not in str(found)
        return "fault"
    try:
        pixels = read_radiograph(found).pixels
    except UnreadableImageError as problem:
        return _read_one(problem)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    return "read"


def read_mutants(seeds: list[bytes], first: int, count: int) -> None:
    """Report on the mutants ``first`` to ``first + count`` on stdout, then the peak of memory in MiB."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mutant"
        for number in range(first, first + count):
            path.write_bytes(mutant(seeds, number))
            print(number, end=" ", flush=True)
            faulthandler.dump_traceback_later(SECONDS_PER_MUTANT, exit=True)
            print(read(path), flush=True)
            faulthandler.cancel_dump_traceback_later()
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)


def in_a_process_of_its_own(seeds: list[bytes], first: int, count: int, report: Path) -> int:
    """Its exit status. It begins with the imports of this one, and writes to the files ``report``.out and .err."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = 1
    try:
        for stream, ending in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(report.with_name(report.name + ending), os.O_WRONLY | os.O_CREAT), stream)
        read_mutants(seeds, first, count)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    folder, reports, first, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    for kind in sys.argv[5:]:
        seeds = [path.read_bytes() for path in sorted((folder / kind).iterdir())]
        status = in_a_process_of_its_own(seeds, first, count, reports / kind)
        (reports / f"{kind}.status").write_text(str(status))


if __name__ == "__main__":
    main()
