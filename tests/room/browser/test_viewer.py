"""The viewer in a browser: every level, the model's answer, and the reader's."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lungsight.reading import read_radiograph
from served_room import Served, chest, chest_file, open_viewer, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: The grey of every pixel of a square in the middle of the canvas, and where that square is on the image.
_MIDDLE = """() => {
  const film = document.querySelector(".film").film;
  film.draw();
  const { canvas } = film;
  const [left, top] = [Math.floor(canvas.width / 2) - 20, Math.floor(canvas.height / 2) - 20];
  const place = film.toImage(left, top);
  const { data } = canvas.getContext("2d").getImageData(left, top, 40, 40);
  return { x: place.x, y: place.y, grey: [...data].filter((_, n) => n % 4 === 0) };
}"""
_FILMS = "[...document.querySelectorAll('.film')].map(canvas => canvas.film)"
_ACROSS = """box => {
  const canvas = document.querySelector(".overlay");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.filter((_, n) => n % 4 === 3).reduce((sum, alpha) => sum + (alpha > 0), 0);
}"""


def middle(page: Page) -> tuple[np.ndarray, np.ndarray]:
    """The greys 0…255 that are shown in the middle, and the rows and columns of the image that they are of."""
    shown = page.evaluate(_MIDDLE)
    rows, columns = np.mgrid[0:40, 0:40]
    return np.array(shown["grey"]).reshape(40, 40), np.stack([rows + shown["y"], columns + shown["x"]])


def stage(page: Page) -> dict[str, float]:
    box = page.locator(".film").first.bounding_box()
    assert box is not None
    return dict(box)


def drag(page: Page, across: float, down: float) -> None:
    box = stage(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across, y + down, steps=3)
    page.mouse.up()


def drawn_over(page: Page) -> int:
    """How many pixels are drawn over the image."""
    return int(page.evaluate(_ACROSS))


def status(page: Page) -> str:
    return page.locator(".status").first.inner_text()


@pytest.fixture
def opened(room: Served, page: Page) -> Page:
    (image,) = room.take(page, chest_file(1))
    open_viewer(page, room, image)
    return page


def test_the_first_window_shows_what_the_model_sees(opened: Page, tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(chest_file(1))
    pixels = read_radiograph(tmp_path / "image.dcm").pixels
    opened.keyboard.press("1")
    grey, (rows, columns) = middle(opened)
    near = pixels[np.rint(rows).astype(int), np.rint(columns).astype(int)] if np.allclose(rows % 1, 0) else None
    assert near is not None, "one to one, the pixels of the image are on those of the screen"
    assert np.abs(grey / 255 - near).max() < 1 / 100


def test_dragging_shows_levels_that_the_header_s_window_hid(room: Served, page: Page) -> None:
    (image,) = room.take(page, chest_file(1, WindowCenter=3000, WindowWidth=200))
    open_viewer(page, room, image)
    assert np.mean(middle(page)[0] == 255) > 0.5
    for _ in range(25):
        page.keyboard.press("]")
    assert np.mean(middle(page)[0] == 255) < 0.1
    assert page.locator("#preset").input_value() == ""
    before = middle(page)[0].mean()
    drag(page, 0, 60)
    assert middle(page)[0].mean() != before
    page.select_option("#preset", "0")
    until(lambda: "W 199" in status(page), "the preset is back")


def test_invert_flip_zoom_and_pan(opened: Page) -> None:
    opened.keyboard.press("1")
    before, _ = middle(opened)
    opened.keyboard.press("i")
    np.testing.assert_allclose(middle(opened)[0], 255 - before, atol=1)
    opened.keyboard.press("i")
    assert not opened.locator(".mark").first.is_visible()
    opened.keyboard.press("f")
    opened.wait_for_selector(".mark:visible")
    assert "FLIPPED" in opened.locator(".mark").first.inner_text()
    np.testing.assert_allclose(middle(opened)[0][:, ::-1], before, atol=1)
    opened.keyboard.press("f")
    opened.keyboard.press("ArrowLeft")
    moved, _ = middle(opened)
    assert not np.array_equal(moved, before)
    opened.keyboard.press("+")
    until(lambda: "125 %" in status(opened), "it zooms in")
    opened.keyboard.press("0")
    until(lambda: "125 %" not in status(opened), "it fits again")


def test_a_length_is_in_millimetres_where_the_spacing_is_known(opened: Page) -> None:
    opened.keyboard.press("1")
    opened.keyboard.press("m")
    drag(opened, 60, 80)
    assert opened.locator("#under").inner_text().startswith("50.0 mm")
    assert "detector" in opened.locator("#under").inner_text()


def test_a_length_is_in_pixels_where_it_isn_t(room: Served, page: Page) -> None:
    (image,) = room.take(page, chest_file(1, ImagerPixelSpacing=None))
    open_viewer(page, room, image)
    page.keyboard.press("1")
    page.keyboard.press("m")
    drag(page, 60, 80)
    assert page.locator("#under").inner_text().startswith("100 px")
    assert "states no spacing" in page.locator("#under").inner_text()


def test_evidence_on_a_key_adds_up_under_the_mouse(room: Served, page: Page) -> None:
    (image,) = room.take(page, chest_file(1))
    open_viewer(page, room, image)
    evidence = page.request.get(f"{room.address}/v1/images/{image}/evidence").json()
    assert drawn_over(page) == 0
    page.keyboard.press("h")
    assert drawn_over(page) > 0
    regions, bias, score = (
        float(text.replace("−", "-")) for text in re.findall(r"[+−]?\d+\.\d\d", page.locator("#sum").inner_text())
    )
    assert regions == pytest.approx(np.mean(evidence["values"]), abs=0.006)
    assert (bias, score) == pytest.approx((evidence["bias"], evidence["margin"]), abs=0.006)
    left, top, right, bottom = evidence["box"]
    values = np.array(evidence["values"])
    place = page.evaluate(
        f"([x, y]) => {_FILMS}[0].toScreen(x * {_FILMS}[0].width, y * {_FILMS}[0].height)",
        [left + 0.5 * (right - left) / values.shape[1], top + 0.5 * (bottom - top) / values.shape[0]],
    )
    box = stage(page)
    page.mouse.move(box["x"] + place["x"], box["y"] + place["y"])
    said = page.locator("#under").inner_text()
    found = re.search(r"adds ([+−]?\d+\.\d+)", said)
    assert found, said
    assert float(found[1].replace("−", "-")) == pytest.approx(values[0, 0] / values.size, abs=0.0006)
    full = drawn_over(page)
    page.locator("#threshold").fill("0.9")
    assert drawn_over(page) < full
    page.select_option("#colours", "cividis")
    page.keyboard.press("h")
    assert drawn_over(page) == 0


def test_the_prevalence_moves_the_probability_by_bayes_rule(opened: Page, room: Served) -> None:
    known = opened.request.get(f"{room.address}/v1/room").json()["model"]
    if known["prevalence"] is None:
        pytest.skip("the small model states no prevalence")
    slider = opened.locator("#prevalence")
    slider.fill("3")  # 1 %
    p = opened.request.get(f"{room.address}/v1/images").json()["images"][0]["probability"]
    odds = p / (1 - p) * (0.01 / 0.99) / (known["prevalence"] / (1 - known["prevalence"]))
    share = 100 * odds / (1 + odds)
    expected = "<1 %" if share < 1 else ">99 %" if share > 99 else f"{share:.0f} %"
    assert f"1 % of the people examined have COVID-19, it means {expected}" in opened.locator(".meaning").inner_text()


def test_the_answer_comes_as_a_word_first(opened: Page, room: Served) -> None:
    row = opened.request.get(f"{room.address}/v1/images").json()["images"][0]
    answer = opened.locator("#answer")
    assert answer.inner_text().casefold().startswith(row["decision_words"].casefold())
    assert opened.locator("#answer a[href='/help#model']").count() == 1
    assert "not a medical device" in answer.inner_text()


def test_blind_until_the_read_is_saved(open_room: Callable[..., Served], page: Page) -> None:
    room = open_room(blind=True)
    (image,) = room.take(page, chest_file(1))
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(answer.url))
    page.goto(room.address)
    page.wait_for_selector("#rows tr")
    assert page.locator("#rows .word").count() == 0
    open_viewer(page, room, image)
    page.keyboard.press("h")
    known = page.request.get(f"{room.address}/v1/images/{image}").json()
    assert (known["finding"], known["probability"], known["decision_words"]) == (None, None, None)
    assert not any(url.endswith("/evidence") for url in asked)
    assert page.locator("#answer .scale").count() == page.locator("#sum").count() == 0
    assert "robability" not in page.content().partition("<main")[2]
    assert not page.locator("#agreement").is_visible()
    page.keyboard.press("r")
    drag(page, 60, 40)
    page.get_by_role("radio", name="typical", exact=False).first.check()
    page.fill("[name=comment]", "Both bases.")
    page.get_by_role("button", name="Save the read").click()
    page.wait_for_selector("#answer .scale")
    read = page.request.get(f"{room.address}/v1/images/{image}").json()["reads"][0]
    assert (read["category"], read["blind"], read["comment"]) == ("typical", True, "Both bases.")
    assert len(read["regions"]) == 1
    assert read["seconds"] > 0
    assert page.locator("#agreement").is_visible()
    page.reload()
    page.wait_for_selector("body[data-shown]")
    assert page.locator("[name=comment]").input_value() == "Both bases."
    assert "1 region" in page.locator("#regions-count").inner_text()


def test_the_report_is_one_sheet_that_says_what_it_is(opened: Page, tmp_path: Path) -> None:
    sheet = opened.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", sheet)) == 1
    opened.emulate_media(media="print")
    text = opened.locator("#report").inner_text()
    assert "Regions" in text
    assert "Research software" in opened.locator("body").inner_text()
    assert not opened.locator(".stage").is_visible()
    width = opened.evaluate("document.querySelector('#print-plain').width")
    assert width == 400  # the image's own: it isn't drawn larger


def test_an_earlier_image_of_the_patient_beside_it(room: Served, page: Page) -> None:
    earlier, later = room.take(
        page,
        chest_file(1, PatientID="P1", StudyDate="20200301"),
        chest_file(2, PatientID="P1", StudyDate="20200401"),
    )
    open_viewer(page, room, later)
    page.keyboard.press("e")
    page.wait_for_selector(".pane[data-pane='1']:visible")
    until(lambda: page.evaluate(f"{_FILMS}[1].levels?.some(Boolean) || false"), "the earlier image is shown")
    page.keyboard.press("+")
    fits = "Math.min(film.size.width / film.width, film.size.height / film.height)"
    first, second = page.evaluate(f"{_FILMS}.map(film => film.view.scale / {fits})")
    assert first == pytest.approx(second)
    page.keyboard.press("e")
    assert not page.locator(".pane[data-pane='1']").is_visible()
    assert earlier != later


def test_what_moves_the_answer(opened: Page, room: Served) -> None:
    if opened.request.get(f"{room.address}/v1/room").json()["lacks"].get("altered"):
        pytest.skip("the extra for it is not installed")
    opened.locator("#teach summary").click()
    opened.get_by_role("button", name="Invert", exact=True).last.click()
    opened.wait_for_selector("#before-after:visible")
    assert opened.locator("#before-after canvas").count() == 2
    assert "moves from" in opened.locator("#teach-note").inner_text()
    opened.get_by_role("button", name="Plant a letter").click()
    assert "Click" in opened.locator("#teach-note").inner_text()
    box = stage(opened)
    with opened.expect_request(lambda request: request.url.endswith("/altered")) as sent:
        opened.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    asked: dict[str, Any] = sent.value.post_data_json
    assert asked["kind"] == "letter"
    assert (asked["x"], asked["y"]) == pytest.approx((0.5, 0.5), abs=0.02)


def test_deleting_asks_first(opened: Page, room: Served) -> None:
    opened.locator("#delete").click()
    opened.get_by_role("button", name="Keep it").click()
    opened.locator("#delete").click()
    opened.get_by_role("button", name="Delete it").click()
    opened.wait_for_url(f"{room.address}/")
    opened.wait_for_selector("#empty:visible")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (820, 1180), (3840, 2160)])
def test_pages_fit_the_window(room: Served, new_page: Callable[..., Page], width: int, height: int) -> None:
    page = new_page(width, height)
    (image,) = room.take(page, chest_file(1))
    for path in ("/", "/help", "/room", "/evidence"):
        page.goto(room.address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    open_viewer(page, room, image)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    grey, _ = middle(page)
    assert len(np.unique(grey)) > 10
    assert chest(1).shape == (360, 400)
