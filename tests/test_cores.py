from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight import _cores, _environment
from lungsight._cores import cores

V2_MOUNT = "30 23 0:26 {inside} {point} rw,nosuid - cgroup2 cgroup2 rw\n"
V1_MOUNT = "31 23 0:27 {inside} {point} rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
MEMORY = "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cores, "cores_of_the_machine", lambda: 16)


def _system(root: Path, cgroup: str, mounts: str, limits: dict[str, str]) -> int:
    """What :func:`cores` says of a made-up system below ``root``."""
    process = root / "proc" / "self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(cgroup)
    (process / "mountinfo").write_text(f"22 1 0:1 / / rw - overlay overlay rw\n{mounts}")
    for name, content in limits.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return cores(process, root)


CGROUP2 = V2_MOUNT.format(inside="/", point="/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "6400000 100000\n"}, 16),
        ({"cpu.max": "nonsense\n"}, 16),
        ({"cpu.max": ""}, 16),
        ({}, 16),
    ],
)
def test_the_quota_of_a_container_with_its_own_view(tmp_path: Path, limits: dict[str, str], expected: int) -> None:
    below = {f"sys/fs/cgroup/{name}": content for name, content in limits.items()}
    assert _system(tmp_path, "0::/\n", CGROUP2, below) == expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [("300000 100000", "max 100000", 3), ("max 100000", "400000 100000", 4), ("300000 100000", "400000 100000", 3)],
)
def test_the_strictest_of_nested_groups_counts(tmp_path: Path, outer: str, inner: str, expected: int) -> None:
    limits = {"sys/fs/cgroup/user.slice/cpu.max": outer, "sys/fs/cgroup/user.slice/job 1/cpu.max": inner}
    assert _system(tmp_path, "0::/user.slice/job 1\n", CGROUP2, limits) == expected


@pytest.mark.parametrize(("quota", "expected"), [("200000", 2), ("-1", 16), ("250000", 3)])
@pytest.mark.parametrize("seen_from", ["outside", "inside", "hidden"])
def test_the_first_kind_of_groups(tmp_path: Path, quota: str, expected: int, seen_from: str) -> None:
    """Outside of a container the group lies below the mount; inside it is what is mounted, under its outer name."""
    inside = {"outside": "/", "inside": "/docker/1f", "hidden": "/docker/1f/.."}[seen_from]
    place = "sys/fs/cgroup/cpu,cpuacct" + ("/docker/1f" if seen_from == "outside" else "")
    mounts = MEMORY + V1_MOUNT.format(inside=inside, point="/sys/fs/cgroup/cpu,cpuacct")
    limits = {f"{place}/cpu.cfs_quota_us": quota, f"{place}/cpu.cfs_period_us": "100000"}
    cgroup = "9:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n0::/docker/1f\n"
    assert _system(tmp_path, cgroup, mounts, limits) == expected


def test_both_kinds_side_by_side(tmp_path: Path) -> None:
    mounts = V1_MOUNT.format(inside="/", point="/sys/fs/cgroup/cpu") + V2_MOUNT.format(
        inside="/", point="/sys/fs/cgroup/unified"
    )
    limits = {"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "500000", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000"}
    assert _system(tmp_path, "4:cpuacct,cpu:/a\n0::/a\n", mounts, limits) == 5


def test_a_mount_point_may_have_a_space_in_its_name(tmp_path: Path) -> None:
    mounts = V2_MOUNT.format(inside="/", point="/my\\040groups")
    assert _system(tmp_path, "0::/\n", mounts, {"my groups/cpu.max": "200000 100000"}) == 2


def test_a_system_without_control_groups_has_all_its_cores(tmp_path: Path) -> None:
    assert cores(tmp_path / "nowhere", tmp_path) == 16


@given(cgroup=st.text(max_size=60), mounts=st.text("/ a0\\\n-", max_size=60))
def test_whatever_stands_there_is_no_error(
    tmp_path_factory: pytest.TempPathFactory, cgroup: str, mounts: str
) -> None:
    folder = tmp_path_factory.mktemp("process")
    (folder / "cgroup").write_text(cgroup, "utf-8", "replace")
    (folder / "mountinfo").write_text(f"{mounts} - cgroup2 x y\n{mounts}", "utf-8", "replace")
    assert 1 <= cores(folder, folder) <= 16


@pytest.mark.skipif(not shutil.which("taskset") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_process_bound_to_one_core_has_one() -> None:
    one = str(min(os.sched_getaffinity(0)))
    code = "from lungsight._cores import cores; print(cores())"
    done = subprocess.run(["taskset", "-c", one, sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"1"


@pytest.mark.parametrize(("quota", "expected"), [(True, "3"), (False, None)])
def test_the_libraries_follow_a_quota(monkeypatch: pytest.MonkeyPatch, quota: bool, expected: str | None) -> None:
    """OpenMP and OpenBLAS see all cores of a machine, and would start a thread on each."""

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_environment, "cores", lambda: 3 if quota else 16)
    monkeypatch.setattr(_environment, "cores_of_the_machine", lambda: 16)
    _environment.prepare()
    assert os.environ.pop("OMP_NUM_THREADS", None) == expected


@pytest.mark.parametrize(("asked", "expected"), [(1, 1), (3, 3), (40, 16), (0, 16)])
def test_the_threads_option_is_the_maximum(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: int, expected: int
) -> None:
    for name in ("LUNGSIGHT_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        monkeypatch.setenv(name, "")
    _environment.use_cores(asked)
    assert cores(tmp_path / "nowhere", tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("words", [["train", "nowhere", "--data", "x", "--out", "x"], ["evaluate"]], ids=" ".join)
def test_threads_reach_the_libraries(words: list[str]) -> None:
    """torch, OpenBLAS and OpenCV ask once, when they are imported: the command must speak before."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from lungsight.cli import app\n"
        "assert CliRunner().invoke(app, [*sys.argv[1:], '--threads', '1']).exit_code == 3\n"
        "import cv2, torch\n"
        "from lungsight._cores import cores\n"
        "print(torch.get_num_threads(), cv2.getNumThreads(), cores())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "1"]
