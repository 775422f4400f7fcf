from pathlib import Path

import pytest

from lungsight.datasets.phantom import Label, draw
from lungsight.errors import PackageError
from lungsight.package import ModelPackage, bundled
from lungsight.package.bundled import DEFAULT, bundled_packages, find_package, package_with_view_classifier
from lungsight.radiograph import View
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


def test_the_package_that_ships_predicts_the_view_of_what_its_gate_admits() -> None:
    package = package_with_view_classifier()
    assert package is not None
    assert package.path == bundled_packages()[DEFAULT]
    gate = package.gate(1)
    assert gate is not None
    standing, lying = (
        gate.ask(draw(4, Label.NO_PNEUMONIA, view=view, size=256).pixels).view for view in (View.PA, View.AP)
    )
    assert standing is not None
    assert lying is not None
    assert 0 < standing.ap < lying.ap < 1


def test_without_a_bundled_view_classifier_no_view_is_predicted(shelf: Path) -> None:
    assert package_with_view_classifier() is None
    shelf.mkdir()
    write_tiny(shelf / DEFAULT)
    assert package_with_view_classifier() is None
