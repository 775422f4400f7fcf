"""The worklist in a browser: files come in, answers appear, and the keyboard goes everywhere."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from served_room import Served, chest_file, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Drops files on the page, as a file manager does.
_DROP = """files => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""


def drop(page: Page, files: dict[str, bytes]) -> None:
    page.evaluate(_DROP, [[name, base64.b64encode(data).decode()] for name, data in files.items()])


def zipped(files: dict[str, bytes]) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def rows(page: Page) -> list[str]:
    return page.locator("#rows tr").all_inner_texts()


def wait_for_rows(page: Page, count: int) -> None:
    until(lambda: page.locator("#rows tr .word").count() == count, f"not {count} answers: {rows(page)}")


def test_files_that_are_dropped_appear_with_their_answers(room: Served, page: Page) -> None:
    page.goto(room.address)
    page.wait_for_selector("#empty:visible")
    drop(page, {"one.dcm": chest_file(1), "two.dcm": chest_file(2), "report.txt": b"It looks fine.", "none.png": b""})
    wait_for_rows(page, 2)  # by the room's events: nothing is loaded anew
    assert page.locator("#uploads li").count() == 4
    assert page.locator("#uploads progress").count() == 4
    assert {"one.dcm", "two.dcm"} <= set(page.locator("#rows .image a").all_inner_texts())
    assert "4 of 4 files" in page.locator("#sending").inner_text()
    reasons = page.locator("#rows .why").all_text_contents()
    assert all("points" in why for why in reasons), reasons
    assert page.locator("#rows [data-decision=error]").count() == 0  # the empty file is passed over
    page.reload()
    wait_for_rows(page, 2)
    assert "one.dcm" in " ".join(rows(page))  # this browser session knows the names …
    assert all(row["name"] is None for row in page.request.get(f"{room.address}/v1/images").json()["images"])


def test_a_folder_and_a_zip_with_the_rest_of_a_disc(room: Served, page: Page, tmp_path: Path) -> None:
    page.goto(room.address)
    disc = tmp_path / "disc"
    (disc / "IMAGES").mkdir(parents=True)
    (disc / "IMAGES" / "IM0001").write_bytes(chest_file(3))
    (disc / "README.TXT").write_text("A disc.")
    (disc / "more.zip").write_bytes(zipped({"a/x.dcm": chest_file(4), "a/y.dcm": chest_file(5), "icon.ico": b"\0"}))
    page.locator("#folder").set_input_files(disc)
    wait_for_rows(page, 3)
    assert not page.locator("#uploads .failed").count()
    drop(page, {"again.dcm": chest_file(4)})
    page.wait_for_selector("#uploads li:has-text('already here')")
    assert len(rows(page)) == 3


def test_a_file_that_is_too_large_is_told_so_without_being_sent(open_room: Callable[..., Served], page: Page) -> None:
    from lungsight.room.inbox import Limits

    room = open_room(limits=Limits(upload_bytes=10_000))
    page.goto(room.address)
    page.wait_for_load_state("networkidle")
    drop(page, {"large.dcm": chest_file(1)})
    page.wait_for_selector("#uploads .failed")
    assert "larger" in page.locator("#uploads .failed").inner_text()
    assert rows(page) == []


def test_filters_search_and_reset(room: Served, page: Page) -> None:
    old, young = room.take(
        page, chest_file(1, PatientAge="081Y"), chest_file(2, PatientAge="023Y", ViewPosition="AP")
    )
    page.goto(room.address)
    wait_for_rows(page, 2)

    def shown() -> list[str]:
        return list(page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.dataset.id)"))

    assert shown()[0] == old  # the older patient is more urgent by the rule
    page.select_option("[name=view]", "AP")
    until(lambda: shown() == [young], "the view filters")
    page.locator("[type=reset]").click()
    until(lambda: len(shown()) == 2, "everything again")
    page.locator("summary").click()
    page.fill("[name=age_from]", "60")
    until(lambda: shown() == [old], "the age filters")
    page.reload()
    until(lambda: shown() == [old], "filters stay after a reload")
    page.locator("[type=reset]").click()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type(young[:10])
    until(lambda: shown() == [young], "the search finds the number of an image")


def test_the_keyboard_alone_reads_an_image(room: Served, page: Page) -> None:
    first, second = room.take(page, chest_file(1, PatientAge="081Y"), chest_file(2, PatientAge="023Y"))
    page.goto(room.address)
    wait_for_rows(page, 2)
    page.keyboard.press("?")
    assert "next image" in page.locator("dialog.help").inner_text()
    page.keyboard.press("Escape")
    for key, image in (("j", first), ("j", second), ("k", first)):
        page.keyboard.press(key)
        assert image in str(page.evaluate("document.activeElement.href"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/images/{first}")
    page.wait_for_selector("body[data-shown]")
    for key in ("c", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("s")
    page.wait_for_selector("#saved:has-text('Saved')")
    page.keyboard.press(" ")
    page.wait_for_url(f"**/images/{second}")
    page.wait_for_selector("body[data-shown]")
    page.keyboard.press("Escape")
    page.wait_for_url(f"{room.address}/")
    wait_for_rows(page, 2)
    assert "indeterminate" in page.locator(f"tr[data-id='{first}'] .read-state").inner_text()
    page.keyboard.press(" ")  # the first that isn't read
    page.wait_for_url(f"**/images/{second}")


def test_a_room_that_is_opened_again_has_all_and_the_page_goes_on(
    open_room: Callable[..., Served], page: Page
) -> None:
    room = open_room()
    page.goto(room.address)
    drop(page, {"one.dcm": chest_file(1)})
    wait_for_rows(page, 1)
    room.stop()
    drop(page, {"two.dcm": chest_file(2)})
    page.wait_for_selector("#uploads .failed")
    room.start()
    drop(page, {"two.dcm": chest_file(2)})
    wait_for_rows(page, 2)


#: Counts uploads in flight, and the times between frames.
_WATCH = """
window.flying = { now: 0, most: 0 };
const { open } = XMLHttpRequest.prototype;
XMLHttpRequest.prototype.open = function (...given) {
  flying.now += 1;
  flying.most = Math.max(flying.most, flying.now);
  for (const end of ["load", "error"]) this.addEventListener(end, () => { flying.now -= 1; });
  return open.apply(this, given);
};
window.waits = [];
let last = performance.now();
const tick = now => { waits.push(now - last); last = now; requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""


@pytest.mark.slow
def test_two_hundred_files_stay_smooth(room: Served, page: Page) -> None:
    page.add_init_script(_WATCH)
    page.goto(room.address)
    for part in range(10):
        drop(page, {f"{part}-{n}.dcm": chest_file(20 * part + n) for n in range(20)})
    for _ in range(600):
        if page.locator("#sending").inner_text().startswith("200 of 200"):
            break
        page.wait_for_timeout(500)
    room.finished()
    wait_for_rows(page, 200)
    assert page.evaluate("flying.most") == 4
    waits = sorted(page.evaluate("waits"))
    assert waits[int(0.95 * len(waits))] < 500, "a page of 200 images isn't drawn smoothly"
    assert not page.locator("#uploads .failed").count()


def test_the_room_s_reads_and_its_pages(open_room: Callable[..., Served], page: Page) -> None:
    room = open_room(blind=True)
    image, _ = room.take(page, chest_file(1), chest_file(2))
    page.request.put(
        f"{room.address}/v1/images/{image}/read",
        data={"category": "negative", "agrees": None, "regions": [], "comment": "", "seconds": 3},
        headers={"Origin": room.address},
    )
    page.goto(f"{room.address}/room")
    page.wait_for_selector("#summary:has-text('1 read, 1 of them blind')")
    assert "negative" in page.locator("#figures").inner_text()
    page.goto(f"{room.address}/evidence")
    assert "lungsight evaluate" in page.locator("main").inner_text()
    page.goto(f"{room.address}/help")
    assert page.locator("kbd").count() > 15
    for path in ("/", "/room", "/evidence", "/help", f"/images/{image}"):
        page.goto(room.address + path)
        assert "not a medical device" in page.locator(".research").inner_text()
