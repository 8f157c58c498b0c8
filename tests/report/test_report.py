import json
import re
from collections import Counter
from dataclasses import asdict, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from src.errors.atlas import correct_by_run, read_atlases
from src.report.report import draw_report, escape_markdown, fenced, render_html, render_markdown
from src.report.statements import basis_sentences, best_sentences, difference_columns, failure_columns
from src.report.table import column_rows, table_frame
from src.results.results import JobProblem, load_results
from src.verdict.advice import Advice
from src.verdict.tuned import tune_values
from src.verdict.verdicts import judge
from src.verdict.words import answer_lines
from tests.verdict.made_up import results_of

HOSTILE = "<script>document.title='taken'</script> | `a` $x$ *b* \u202eö 漢"


def report_of(world, sweep, results=None, **said):
    """The report of a sweep; `said` replaces fields of its verdicts."""
    results = results or load_results([sweep], world.multirun)
    atlases = read_atlases(results)
    verdicts = replace(judge([sweep], results, correct_by_run(atlases)), **said)
    return draw_report([sweep], results, table_frame(results, verdicts), atlases, verdicts, pytest.fail)


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


@pytest.fixture
def grid(world):
    """Norms bn and gn with two strengths of L1 and three seeds each, and a failed run of ln; L1 harms bn only."""
    wrong = {("bn", 0.0): 1, ("bn", 1e-5): 21, ("gn", 0.0): 44, ("gn", 1e-5): 45}
    jobs = [
        world.finish(world.configuration(norm, seed, l1), dict.fromkeys(range(count + seed), 0.9))
        for (norm, l1), count in wrong.items()
        for seed in (0, 1, 2)
    ]
    return world.sweep([*jobs, world.fail(world.configuration("ln"), "FAILED", "no memory")])


def test_the_page_holds_everything_in_order_from_the_verdict_to_the_commands(world, grid):
    advice = Advice("Train more seeds", 9, command="python -m src.train -m norm=bn,gn seeds=9")
    report = report_of(world, grid, left_out=("Ours.",), advice=advice, cost="10 more runs")
    verdicts = report.verdicts
    told = [
        *report.answer,
        "Train more seeds (10 more runs):",
        advice.command,
        "A cell may be the best if no other cell beats it",
        "Loss and accuracy by epoch",
        *verdicts.contrasts[0].better_first.labels,
        verdicts.contrasts[0].outcome,
        verdicts.interactions[0].sentence,
        "look 1",
        "norm",
        f"All {len(report.atlases[0].runs)} runs misclassify",
        "expected calibration error, points",
        "Ours.",
        "failed: ln l1=0 s0: no memory",
        "bn, gn",
        "optimizer.lr",
        "hash of the training code",
        grid.command,
    ]
    text = Page(render_html(report)).text
    place = 0
    for words in told:
        assert words in text[place:], words
        place = text.index(words, place)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_report_states_no_fact_twice(world, grid, seeds):
    kept = [job for job in grid.jobs if int(job.label[-1]) < seeds]
    report = report_of(world, world.sweep(kept))
    for text in (Page(render_html(report)).text, re.sub(r"!\[.*", "", render_markdown(report).decode())):
        sentences = [words.strip() for line in text.splitlines() for words in re.split(r"[.:;] +|[.:;]$", line)]
        counted = Counter(words for words in sentences if len(words.split()) > 5)
        assert len(counted) > 10
        assert counted.most_common(1)[0][1] == 1, counted.most_common(3)


def test_the_tables_of_statements_hold_the_numbers_of_the_verdict(world, grid):
    report = report_of(world, grid)
    rows = column_rows(difference_columns(report.verdicts.contrasts))
    assert len(rows) == len(report.verdicts.contrasts) > 2
    for row, item in zip(rows, report.verdicts.contrasts, strict=True):
        turned = item.better_first
        assert row[:2] == turned.labels
        assert row[3:5] == (item.outcome, f"{100 * abs(item.difference):.2f}")
        assert row[5] == f"[{100 * turned.low:.2f}, {100 * turned.high:.2f}]"
        assert row[6:] == (f"{item.p:.2g}", "3")
    assert ("norm", "ln", "1", "1", "1", "1") in column_rows(failure_columns(report.verdicts.failures))


def test_the_report_keeps_what_the_answer_leaves_out():
    noise = np.random.default_rng(0).normal(0, 0.001, (6, 5))
    cells = [(norm, l1) for norm in ("bn", "gn", "ln") for l1 in (0.0, 1e-5)]
    verdicts = judge([], results_of({cell: 0.98 + row for cell, row in zip(cells, noise, strict=True)}), {})
    (sentence,) = best_sentences(verdicts)
    assert sentence == f"{verdicts.best[0].sentence}."
    assert sentence not in " ".join(answer_lines(verdicts))
    assert verdicts.advice.detail in basis_sentences(verdicts)
    scopes = {row[2] for row in column_rows(difference_columns(verdicts.contrasts))}
    assert scopes == {"averaged over l1 (2 settings)", "averaged over norm (3 settings)"}


def test_a_level_that_fails_more_often_is_said_once(world):
    jobs = [world.finish(world.configuration("bn", seed), dict.fromkeys(range(3 + seed), 0.9)) for seed in range(9)]
    jobs += [world.fail(world.configuration("ln", seed), "FAILED", "Diverged: in epoch 1") for seed in range(9)]
    report = report_of(world, world.sweep(jobs))
    (difference,) = report.verdicts.failure_differences
    for text in (Page(render_html(report)).text, render_markdown(report).decode()):
        assert text.count(difference.sentence) == 1
        assert f"{difference.more.label} vs {difference.less.label}: p = {difference.p:.2g}" in text


def test_a_sweep_over_a_source_of_randomness_has_a_table_but_no_statements(world):
    jobs = []
    for init_seed in range(3):
        config = replace(world.configuration(), init_seed=init_seed)
        jobs.append(world.finish(config, dict.fromkeys(range(3 + init_seed), 0.9)))
    report = report_of(world, world.sweep(jobs))
    assert report.frame["n"].tolist() == [1, 1, 1]
    assert "failed" not in report.frame
    assert "Differences" not in Page(render_html(report)).text
    assert tune_values(report.results, "init_seed", report.verdicts).sentences == ("This sweep compares no methods.",)


def test_one_seed_lists_the_pairs_of_networks_with_the_smallest_p_first(world, six):
    report = report_of(world, world.sweep([job for job in six.jobs if job.label.endswith(" s0")]))
    stored = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert stored["contrasts"] == stored["best"] == []
    assert [pair["p"] for pair in stored["networks"]] == sorted(pair.p for pair in report.verdicts.networks)
    text = Page(render_html(report)).text
    assert "McNemar" in text
    assert "Bonferroni" not in text
    assert "differences" not in report.figures


def test_json_holds_every_statement_with_its_words(world, grid):
    report = report_of(world, grid)
    stored = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert stored["verdict"] == report.answer
    assert stored["promise"] == asdict(report.verdicts.promise)
    for name in ("contrasts", "interactions"):
        items = getattr(report.verdicts, name)
        assert items
        for found, item in zip(stored[name], items, strict=True):
            assert found["words"] == item.sentence
            assert (found["low"], found["high"], found["outcome"]) == (item.low, item.high, item.outcome)
    (best,) = report.verdicts.best
    assert stored["best"][0]["candidates"] == list(best.candidates)
    assert stored["best"][0]["behind"] == best.behind
    assert {(row["level"], row["failed"]) for row in stored["failures"]} >= {("ln", 1), ("bn", 0)}


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
    advice = Advice(HOSTILE, 9, command=HOSTILE)
    said = {"no_method_learned": (HOSTILE,), "advice": advice, "left_out": (HOSTILE,)}
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
    command = "python -m src.train seeds=14"
    report = report_of(world, six, advice=Advice("Train more seeds", 14, command=command), cost="1 more run")
    lines = [line for line in render_markdown(report).decode().splitlines() if line]
    assert lines[0] == f"# {report.title}"
    count = len(report.answer)
    assert lines[1 : count + 1] == [escape_markdown(words) for words in report.answer]
    assert lines[count + 1 : count + 5] == ["Train more seeds (1 more run):", "```sh", command, "```"]
    assert lines[-3:] == [*report.facts.commands, "```"]


def test_a_fence_is_longer_than_any_inside_it():
    assert fenced("a ```` b").splitlines() == ["`````sh", "a ```` b", "`````"]


def test_markdown_leaves_words_and_numbers_alone():
    assert escape_markdown("gn l1=1e-05: 99.5 % ± 0.1") == "gn l1=1e-05: 99.5 % ± 0.1"


def test_a_single_run_has_a_report_without_differences(world):
    sweep = world.sweep([world.finish(world.configuration(), {7: 0.9})])
    report = report_of(world, sweep)
    text = Page(render_html(report)).text
    assert "Differences" not in text
    assert "Nothing: all runs have finished and are compared." in text
    assert "differences" not in report.figures
    assert "## Differences" not in render_markdown(report).decode()


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
