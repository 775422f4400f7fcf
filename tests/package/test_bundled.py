from pathlib import Path

import pytest

from lungsight.errors import PackageError
from lungsight.package import ModelPackage, bundled
from lungsight.package.bundled import DEFAULT, bundled_packages, find_package
from tiny_package import write_tiny


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of what ships."""
    monkeypatch.setattr(bundled, "_FOLDER", tmp_path / "bundled")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bundled"


def test_a_bundled_package_goes_by_its_name(shelf: Path) -> None:
    (shelf / "notes").mkdir(parents=True)
    write_tiny(shelf / DEFAULT)
    assert bundled_packages() == {DEFAULT: shelf / DEFAULT}
    assert find_package() == find_package(DEFAULT) == shelf / DEFAULT
    assert find_package(f"./{DEFAULT}") == Path(DEFAULT)


def test_anything_else_is_a_path(shelf: Path, tmp_path: Path) -> None:
    assert find_package("some/detector.zip") == Path("some/detector.zip")
    assert find_package(tmp_path / "model") == tmp_path / "model"


def test_without_a_bundled_package_the_default_is_missed_in_one_sentence(shelf: Path) -> None:
    for present in (False, True):
        if present:
            shelf.mkdir()
        with pytest.raises(PackageError, match="no model is bundled with this installation; give a model package"):
            find_package()


def test_without_one_a_folder_of_that_name_is_a_folder(shelf: Path) -> None:
    assert ModelPackage.open(find_package(write_tiny(Path(DEFAULT)))).description.name == "tiny"


def test_what_ships_is_whole() -> None:
    if DEFAULT not in bundled_packages():
        pytest.skip("no package is bundled with this checkout")
    ModelPackage.open(find_package()).verify()
