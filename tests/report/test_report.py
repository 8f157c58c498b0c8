import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from src.errors.atlas import read_atlases, right_by_run
from src.report.report import draw_report, escape_markdown, fenced, html, markdown
from src.report.table import as_frame
from src.results.results import Unfinished, load_results
from src.verdict.verdicts import judge

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>document.title='taken'</script> | `a` $x$ *b* \u202eö 漢"


def report_of(world, sweep, results=None, **said):
    """The report of a sweep; `said` stands in place of what the verdicts say of it."""
    results = results or load_results([sweep], world.multirun)
    atlases = read_atlases(results)
    verdicts = replace(judge([sweep], results, right_by_run(atlases)), **said)
    return draw_report([sweep], results, as_frame(results, verdicts.letters), atlases, verdicts, pytest.fail)


class Page(HTMLParser):
    """A page's texts outside scripts, in order; its tags with their attributes."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.texts, self._silent = [], [], False
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        if not self._silent:
            self.texts.append(data.strip())

    @property
    def text(self):
        return "\n".join(text for text in self.texts if text)


def tell_apart(world, six, label):
    """The results of `six` with another name for the cell `bn`."""
    results = load_results([six], world.multirun)
    runs, epochs = (frame.replace({"cell": {"bn": label}}) for frame in (results.runs, results.epochs))
    return replace(results, runs=runs, epochs=epochs, unfinished=(Unfinished(label, label),))


def test_the_page_tells_everything_in_order_from_the_verdict_to_the_commands(world):
    wrong = {("bn", 0.0): 1, ("bn", 1e-5): 3, ("gn", 0.0): 4, ("gn", 1e-5): 9}
    jobs = [
        world.finish(world.configuration(norm, seed, l1), dict.fromkeys(range(count + seed), 0.9))
        for (norm, l1), count in wrong.items()
        for seed in (0, 1)
    ]
    grid = world.sweep([*jobs, world.fail(world.configuration("ln"), "FAILED", "no memory")])
    more = "python -m src.train -m norm=bn,gn seeds=14"
    report = report_of(world, grid, opening=("First.", "Second.", "Third."), more=more, left_out=("Ours.",))
    told = [
        *("First.", "Second.", "Third."),
        "Cells that share a letter do not differ significantly.",
        "Loss and accuracy by epoch",
        report.verdicts.effects[0].words,
        report.verdicts.pairs[0].words,
        f"All {len(report.atlases[0].runs)} runs misclassify",
        "expected calibration error, points",
        "Ours.",
        "Not finished: ln l1=0 s0: FAILED: no memory",
        "bn, gn",
        "optimizer.lr",
        "code of data, models, training and job.py",
        grid.command,
        more,
    ]
    text = Page(html(report)).text
    place = 0
    for words in told:
        assert words in text[place:], words
        place = text.index(words, place)


def test_the_page_asks_nobody_for_anything(world, six):
    page = Page(html(report_of(world, six)))
    addresses = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href", "srcset")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in html(report_of(world, six)).decode().split("</style>")[0]


def test_every_picture_says_in_words_what_it_shows(world, six):
    report = report_of(world, six)
    pictures = [found for tag, found in Page(html(report)).tags if tag == "img"]
    assert len(pictures) == len(report.figures) + len(report.galleries[0])
    assert all(len(found["alt"]) > 20 for found in pictures)


def test_a_label_is_shown_as_text_whatever_stands_in_it(world, six):
    plain = Page(html(report_of(world, six)))
    said = {"letters": {HOSTILE: HOSTILE}, "opening": (HOSTILE,), "more": HOSTILE, "left_out": (HOSTILE,)}
    page = Page(html(report_of(world, six, tell_apart(world, six, HOSTILE), **said)))
    for tag in ("script", "b", "a"):
        assert sum(name == tag for name, _ in page.tags) == sum(name == tag for name, _ in plain.tags)
    assert page.text.count(HOSTILE) >= 8


def test_markdown_keeps_a_label_on_its_line_and_in_its_column(world, six):
    label = f"{HOSTILE}\n# heading"
    written = markdown(report_of(world, six, tell_apart(world, six, label))).decode()
    table = written.split("## Table")[1].split("## Figures")[0]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines() if line.startswith("|")}
    assert len(columns) == 1
    assert "<script>" not in written.replace(r"\<script", "")
    assert "\n# heading" not in written
    assert r"\<script\>document.title='taken'\</script\> \| \`a\` \$x\$ \*b\*" in written


def test_markdown_shows_exactly_the_pictures_that_stand_beside_it(world, six):
    report = report_of(world, six)
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\.png\)", markdown(report).decode())
    assert sorted(shown) == sorted([*report.figures, *report.galleries[0]])


def test_markdown_opens_with_the_verdict_and_ends_with_the_commands(world, six):
    report = report_of(world, six, opening=("First.", "Second.", "Third."), more="python -m src.train seeds=14")
    lines = markdown(report).decode().splitlines()
    assert lines[0] == f"# {report.title}"
    assert lines[2:5] == ["First.", "Second.", "Third."]
    assert lines[-3:] == ["```sh", "python -m src.train seeds=14", "```"]


def test_a_fence_is_longer_than_any_inside_it():
    assert fenced("a ```` b").splitlines() == ["`````sh", "a ```` b", "`````"]


def test_markdown_leaves_words_and_numbers_alone():
    assert escape_markdown("gn l1=1e-05: 99.5 % ± 0.1") == "gn l1=1e-05: 99.5 % ± 0.1"


def test_a_single_run_has_a_report_without_pairs(world):
    sweep = world.sweep([world.finish(world.configuration(), {7: 0.9})])
    report = report_of(world, sweep)
    text = Page(html(report)).text
    assert "All pairs" not in text
    assert "Effects of single settings" not in text
    assert "Nothing: all runs have finished and are compared." in text
    assert "differences" not in report.figures
    assert "## All pairs" not in markdown(report).decode()


def test_each_dataset_has_its_own_atlas(world):
    other = replace(world.data, noise=0.9)
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("bn", "gn")]
    jobs += [world.finish(world.configuration(norm, data=other), {8: 0.9}) for norm in ("bn", "gn")]
    sweep = world.sweep(jobs)
    report = report_of(world, sweep)
    assert len({name for name in report.figures if name.startswith("reliability_")}) == 2
    text = Page(html(report)).text
    for group in report.atlases:
        assert f"synthetic {group.source['digest'][:8]}" in text


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is NOT tested")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: what the report shows is NOT tested")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(params=["alone", "in a sandboxed frame"])
def shown(request, browser, world, six, tmp_path):
    """The report in a window without network, alone or as MLflow shows it; at the end nothing is in the log."""
    (tmp_path / "report.html").write_bytes(html(report_of(world, six)))
    frame = '<iframe sandbox="allow-scripts" src="report.html" width="1150" height="850"></iframe>'
    (tmp_path / "frame.html").write_text(frame)
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    problems, asked = [], []
    page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url) if not sent.url.startswith("data:") else None)
    alone = request.param == "alone"
    page.goto((tmp_path / ("report.html" if alone else "frame.html")).as_uri())
    content = page.main_frame if alone else page.main_frame.child_frames[0]
    content.locator("canvas").nth(3).wait_for()
    content.wait_for_function("Bokeh.documents[0].is_idle")
    yield content
    context.close()
    assert problems == []
    assert all(address.startswith("file:") for address in asked)
    assert len(asked) == (1 if alone else 2)


POINT = """() => {
    const panel = Bokeh.documents[0].roots()[3], view = Bokeh.index[panel.id];
    const [points] = panel.renderers.filter((one) => one.glyph.type === "Scatter");
    const {x, y} = view.canvas_view.el.getBoundingClientRect(), {epoch, mean} = points.data_source.data;
    return [x + view.frame.x_scale.compute(epoch[1]), y + view.frame.y_scale.compute(mean[1])];
}"""
VISIBLE = """() => Bokeh.documents[0].roots().flatMap((panel) => panel.renderers)
    .map((one) => [one.tags[0], one.visible])"""


@pytest.mark.browser
def test_a_curve_that_is_pointed_at_tells_its_numbers(shown, world, six):
    shown.locator(".panels > div").nth(3).scroll_into_view_if_needed()
    corner = shown.frame_element().bounding_box() if shown.parent_frame else {"x": 0, "y": 0}
    border = 2 if shown.parent_frame else 0
    x, y = shown.evaluate(POINT)
    mouse = shown.page.mouse
    mouse.move(corner["x"] + border + x - 2, corner["y"] + border + y - 2)
    mouse.move(corner["x"] + border + x, corner["y"] + border + y)
    shown.locator(".bk-tooltip-row-value").first.wait_for()
    cell = load_results([six], world.multirun).cells[0]
    accuracies = [100 * job.epochs[1]["metrics"]["val/accuracy"] for job in cell.jobs]
    told = shown.locator(".bk-tooltip-row-value").all_inner_texts()[:4]
    spread = f"{min(accuracies):.2f} to {max(accuracies):.2f}"
    assert told == ["bn (n = 3)", "2", f"{np.mean(accuracies):.2f}", spread]


@pytest.mark.browser
def test_a_cell_is_switched_off_and_on_in_all_panels(shown):
    box = shown.get_by_label("gn", exact=True)
    panels, parts = 4, 3  # band, line and points
    assert [visible for _, visible in shown.evaluate(VISIBLE)] == [True] * 2 * panels * parts
    box.uncheck()
    assert {tuple(state) for state in shown.evaluate(VISIBLE)} == {(0, True), (1, False)}
    box.check()
    assert all(visible for _, visible in shown.evaluate(VISIBLE))
    shown.get_by_role("button", name="all or none").click()
    assert not any(visible for _, visible in shown.evaluate(VISIBLE))


@pytest.mark.browser
def test_a_phone_shows_the_page_without_scrolling_sideways(browser, world, six, tmp_path):
    (tmp_path / "report.html").write_bytes(html(report_of(world, six)))
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("canvas").nth(3).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


@pytest.mark.browser
def test_on_paper_the_curves_are_the_still_picture(browser, world, six, tmp_path):
    (tmp_path / "report.html").write_bytes(html(report_of(world, six)))
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    still, panels = page.locator("figure.printed"), page.locator(".panels")
    assert (still.is_visible(), panels.is_visible()) == (False, True)
    page.emulate_media(media="print")
    assert (still.is_visible(), panels.is_visible()) == (True, False)
    context.close()


@pytest.mark.browser
def test_a_hostile_label_runs_nothing_in_a_browser(browser, world, six, tmp_path):
    (tmp_path / "report.html").write_bytes(html(report_of(world, six, tell_apart(world, six, HOSTILE))))
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("canvas").nth(3).wait_for()
    assert page.title() != "taken"
    assert page.get_by_label(HOSTILE, exact=True).is_visible()
    context.close()
