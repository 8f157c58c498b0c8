import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from src.errors.atlas import correct_by_run, read_atlases
from src.report.report import draw_report, escape_markdown, fence, render_html, render_markdown
from src.report.table import table_frame
from src.results.results import JobProblem, load_results
from src.verdict.verdicts import judge

HOSTILE = "<script>document.title='taken'</script> | `a` $x$ *b* \u202eö 漢"


def report_of(world, sweep, results=None, **said):
    """The report of a sweep; `said` stands in place of what the verdicts say of it."""
    results = results or load_results([sweep], world.multirun)
    atlases = read_atlases(results)
    verdicts = replace(judge([sweep], results, correct_by_run(atlases)), **said)
    return draw_report([sweep], results, table_frame(results, verdicts.letters), atlases, verdicts, pytest.fail)


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


def rename_cell(world, six, label):
    """The results of `six` with another name for the cell `bn`."""
    results = load_results([six], world.multirun)
    runs, epochs = (frame.replace({"cell": {"bn": label}}) for frame in (results.runs, results.epochs))
    return replace(results, runs=runs, epochs=epochs, unfinished=(JobProblem(label, label),))


def test_the_page_holds_everything_in_order_from_the_verdict_to_the_commands(world):
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
        "hash of the training code",
        grid.command,
        more,
    ]
    text = Page(render_html(report)).text
    place = 0
    for words in told:
        assert words in text[place:], words
        place = text.index(words, place)


def test_the_page_requests_nothing_from_the_network(world, six):
    content = render_html(report_of(world, six))
    page = Page(content)
    addresses = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href", "srcset")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in content.decode().split("</style>")[0]


def test_every_picture_has_a_description(world, six):
    report = report_of(world, six)
    tags = Page(render_html(report)).tags
    words = [found["alt"] for tag, found in tags if tag == "img"]
    words += [found["aria-label"] for _, found in tags if found.get("role") == "img"]
    assert len(words) == len(report.figures) + len(report.galleries[0])
    assert all(len(text) > 20 for text in words)


def test_a_hostile_name_is_shown_as_text(world, six):
    plain = Page(render_html(report_of(world, six)))
    said = {"letters": {HOSTILE: HOSTILE}, "opening": (HOSTILE,), "more": HOSTILE, "left_out": (HOSTILE,)}
    page = Page(render_html(report_of(world, six, rename_cell(world, six, HOSTILE), **said)))
    for tag in ("script", "b", "a"):
        assert sum(name == tag for name, _ in page.tags) == sum(name == tag for name, _ in plain.tags)
    assert page.text.count(HOSTILE) >= 8


def test_markdown_keeps_a_name_on_its_line_and_in_its_column(world, six):
    label = f"{HOSTILE}\n# heading"
    written = render_markdown(report_of(world, six, rename_cell(world, six, label))).decode()
    table = written.split("## Table")[1].split("## Figures")[0]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines() if line.startswith("|")}
    assert len(columns) == 1
    assert "<script>" not in written.replace(r"\<script", "")
    assert "\n# heading" not in written
    assert r"\<script\>document.title='taken'\</script\> \| \`a\` \$x\$ \*b\*" in written


def test_markdown_links_exactly_the_pictures_in_its_folder(world, six):
    report = report_of(world, six)
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\.png\)", render_markdown(report).decode())
    assert sorted(shown) == sorted([*report.figures, *report.galleries[0]])


def test_markdown_opens_with_the_verdict_and_ends_with_the_commands(world, six):
    report = report_of(world, six, opening=("First.", "Second.", "Third."), more="python -m src.train seeds=14")
    lines = render_markdown(report).decode().splitlines()
    assert lines[0] == f"# {report.title}"
    assert lines[2:5] == ["First.", "Second.", "Third."]
    assert lines[-3:] == ["```sh", "python -m src.train seeds=14", "```"]


def test_a_fence_is_longer_than_any_inside_it():
    assert fence("a ```` b").splitlines() == ["`````sh", "a ```` b", "`````"]


def test_markdown_leaves_words_and_numbers_alone():
    assert escape_markdown("gn l1=1e-05: 99.5 % ± 0.1") == "gn l1=1e-05: 99.5 % ± 0.1"


def test_a_single_run_has_a_report_without_pairs(world):
    sweep = world.sweep([world.finish(world.configuration(), {7: 0.9})])
    report = report_of(world, sweep)
    text = Page(render_html(report)).text
    assert "All pairs" not in text
    assert "Effects of single settings" not in text
    assert "Nothing: all runs have finished and are compared." in text
    assert "differences" not in report.figures
    assert "## All pairs" not in render_markdown(report).decode()


def test_each_dataset_has_its_own_atlas(world):
    other = replace(world.data, noise=0.9)
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("bn", "gn")]
    jobs += [world.finish(world.configuration(norm, data=other), {8: 0.9}) for norm in ("bn", "gn")]
    sweep = world.sweep(jobs)
    report = report_of(world, sweep)
    assert len({name for name in report.figures if name.startswith("reliability_")}) == 2
    text = Page(render_html(report)).text
    for group in report.atlases:
        assert f"synthetic {group.source['digest'][:8]}" in text
