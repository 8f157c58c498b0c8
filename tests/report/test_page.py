"""The report in a real browser, without network."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from src.report.report import render_html
from src.results.results import load_results
from tests.report.test_report import HOSTILE, rename_cell, report_of

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is NOT tested")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: the page is NOT tested")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, address, **options):
    """A page without network; at the end the browser's log is empty."""
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    problems, requests = [], []
    page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: requests.append(sent.url) if not sent.url.startswith("data:") else None)
    page.goto(address.as_uri())
    yield page
    context.close()
    assert problems == []
    assert all(url.startswith("file:") for url in requests)
    assert len(requests) == len(page.frames)


@pytest.fixture
def report(world, six, tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(render_html(report_of(world, six)))
    return path


@pytest.fixture(params=["alone", "in a sandboxed frame"])
def shown(request, browser, report):
    """The report in a window, or in a frame as MLflow shows it."""
    if request.param == "alone":
        with opened(browser, report, viewport={"width": 1200, "height": 900}) as page:
            yield page.main_frame
    else:
        frame = report.with_name("frame.html")
        frame.write_text('<iframe sandbox="allow-scripts" src="report.html" width="1150" height="850"></iframe>')
        with opened(browser, frame, viewport={"width": 1200, "height": 900}) as page:
            yield page.main_frame.child_frames[0]


def place_of(shown, x, y):
    """A place of the drawing, in the window."""
    code = "([x, y]) => { const p = new DOMPoint(x, y).matrixTransform(drawing.getScreenCTM()); return [p.x, p.y]; }"
    left, top = shown.evaluate(code, [x, y])
    frame = shown.frame_element().bounding_box() if shown.parent_frame else {"x": -2, "y": -2}
    return left + frame["x"] + 2, top + frame["y"] + 2  # after the border of the frame


def visible_parts(shown):
    """How many lines and bands are visible, by cell."""
    code = """() => [...document.querySelectorAll('#curves svg g[id^="cell-"]')]
        .filter((part) => part.getClientRects().length).map((part) => part.id.split("-")[1])"""
    found = shown.evaluate(code)
    return {cell: found.count(cell) for cell in ("0", "1")}


def test_a_curve_that_is_pointed_at_shows_its_numbers(shown, world, six):
    shown.locator("#curves svg").scroll_into_view_if_needed()
    line = shown.evaluate("lines.filter((line) => line.cell === 0)[3]")
    shown.page.mouse.move(*place_of(shown, *line["points"][1][:2]))
    shown.locator("#numbers").wait_for()
    epochs = load_results([six], world.multirun).epochs.query("cell == 'bn' and epoch == 2")
    accuracies = 100 * epochs["val/accuracy"]
    spread = f"mean of 3 seeds, {accuracies.min():.2f} to {accuracies.max():.2f}"
    assert shown.locator("#numbers").inner_text().splitlines() == ["bn", f"epoch 2: {accuracies.mean():.2f}", spread]
    shown.page.mouse.move(*place_of(shown, 5, 5))
    shown.locator("#numbers").wait_for(state="hidden")


def test_a_cell_is_switched_off_and_on_in_all_panels(shown):
    every = 4 * 2  # a line and a band in each panel
    assert visible_parts(shown) == {"0": every, "1": every}
    box = shown.get_by_label("gn", exact=True)
    box.uncheck()
    assert visible_parts(shown) == {"0": every, "1": 0}
    box.check()
    assert visible_parts(shown) == {"0": every, "1": every}
    shown.get_by_role("button", name="show all or none").click()
    assert visible_parts(shown) == {"0": 0, "1": 0}


def test_dragging_enlarges_a_part_and_a_double_click_resets(shown):
    drawing = shown.locator("#curves svg")
    drawing.scroll_into_view_if_needed()
    whole, height = drawing.get_attribute("viewBox"), drawing.bounding_box()["height"]
    mouse = shown.page.mouse
    mouse.move(*place_of(shown, 100, 80))
    mouse.down()
    mouse.move(*place_of(shown, 200, 140))
    mouse.up()
    left, top, width, tall = map(float, drawing.get_attribute("viewBox").split())
    assert (round(left), round(top), round(width), round(tall)) == (100, 80, 100, 60)
    assert drawing.bounding_box()["height"] == pytest.approx(height)
    drawing.dblclick()
    assert drawing.get_attribute("viewBox") == whole


def test_a_phone_shows_the_page_without_scrolling_sideways(browser, report):
    with opened(browser, report, viewport={"width": 390, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_on_paper_and_without_scripts_the_curves_are_a_still_picture(browser, report):
    with opened(browser, report) as page:
        drawing, boxes = page.locator("#curves svg"), page.locator("fieldset")
        assert drawing.is_visible()
        assert boxes.is_visible()
        page.emulate_media(media="print")
        assert drawing.is_visible()
        assert boxes.is_hidden()
    with opened(browser, report, java_script_enabled=False) as page:
        assert page.locator("#curves svg").is_visible()
        assert page.locator("fieldset").is_hidden()


def test_a_hostile_label_runs_nothing_in_a_browser(browser, world, six, tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(render_html(report_of(world, six, rename_cell(world, six, HOSTILE))))
    with opened(browser, path) as page:
        assert page.title() != "taken"
        assert page.get_by_label(HOSTILE, exact=True).is_visible()
