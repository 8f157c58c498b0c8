import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from src.report.table import SELECTION_RULE, csv_content, json_content, table_frame, table_notes
from src.report.terminal import print_table
from src.results.results import load_results
from src.runs.naming import format_value
from src.storage.stored import sealed
from src.verdict.verdicts import judge


def frame_of(results):
    return table_frame(results, judge([], results, {}))


def printed(results, frame, width=120):
    console = Console(file=io.StringIO(), width=width, record=True)
    print_table(results, frame, console)
    return console.export_text(clear=False)


@pytest.fixture
def results(world, six):
    return load_results([six], world.multirun)


def test_numbers_are_those_of_pandas_and_scipy(world, results):
    rows = []
    for path in world.multirun.glob("jobs/*/result.json"):
        stored = json.loads(path.read_text())
        rows.append({**stored["metrics"], "norm": path.parent.name[:2], "train": stored["seconds"]["train"]})
    expected = pd.DataFrame(rows).groupby("norm")
    frame = frame_of(results).set_index("norm.name")
    for column in ("val/accuracy", "test/accuracy", "test/loss", "test/errors"):
        pd.testing.assert_series_equal(frame[column], expected[column].mean(), check_names=False)
    for column in ("val/accuracy", "test/accuracy"):
        pd.testing.assert_series_equal(frame[f"{column} sd"], expected[column].std(), check_names=False)
    pd.testing.assert_series_equal(frame["seconds"], expected["train"].mean(), check_names=False)
    halves = expected["test/accuracy"].sem() * stats.t.ppf(0.975, 2)
    pd.testing.assert_series_equal(frame["test/accuracy ci95"], halves, check_names=False)
    assert frame["n"].tolist() == [3, 3]


def test_the_printed_table_has_percent_and_spread_and_no_notes(results):
    frame = frame_of(results)
    text = printed(results, frame)
    # bn: 2, 4 and 5 errors (image 50 is one more for s1) of 100
    assert "96.33 ± 1.53" in text
    assert len(text.splitlines()) == 3 + len(frame)  # headings of two lines and a rule
    assert table_notes(results, frame)[0] == SELECTION_RULE
    assert "Each network has 15,002 parameters." in table_notes(results, frame)


def test_a_single_seed_has_neither_spread_nor_a_best(world):
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("none", "gn")]
    results = load_results([world.sweep(jobs)], world.multirun)
    frame = frame_of(results)
    text = printed(results, frame)
    assert "15,004" in text  # the parameters differ, so they have a column
    assert "The networks differ in size: they have 15,002 to 15,004 parameters." in table_notes(results, frame)
    assert "99.00" in text
    for word in ("±", "best", "failed"):
        assert word not in text
        assert word not in " ".join(table_notes(results, frame))
    assert not {"may be best", "behind the best", "failed"} & set(frame)


def test_the_cells_that_may_be_the_best_are_those_of_the_verdict(world):
    errors = {"bn": (2, 3, 4), "gn": (3, 2, 5), "ln": (30, 31, 32)}
    jobs = [
        world.finish(world.configuration(norm, seed), dict.fromkeys(range(count), 0.9))
        for norm, counts in errors.items()
        for seed, count in enumerate(counts)
    ]
    jobs.append(world.finish(world.configuration("in"), {7: 0.9}))  # one seed: not compared
    results = load_results([world.sweep(jobs)], world.multirun)
    frame = frame_of(results)
    (best,) = judge([], results, {}).best
    assert frame["may be best"].tolist() == [True, True, False, None]
    np.testing.assert_array_equal(frame["behind the best"][:3], [best.behind[cell] for cell in frame["cell"][:3]])
    rows = printed(results, frame).splitlines()[-4:]
    assert [re.findall(r"\b(?:yes|no)\b", row) for row in rows] == [["yes"], ["yes"], ["no"], []]
    assert f"≤ {100 * best.behind['ln']:.2f}" in rows[2]
    assert "≤" not in rows[3]


def test_runs_that_failed_or_learned_nothing_are_counted_and_left_out_of_the_means(world):
    jobs = [world.finish(world.configuration("bn", seed), dict.fromkeys(range(5 + seed), 0.9)) for seed in range(3)]
    jobs += [world.finish(world.configuration("gn", seed), dict.fromkeys(range(9), 0.9)) for seed in range(2)]
    jobs.append(world.finish(world.configuration("gn", 2), dict.fromkeys(range(80), 0.9)))  # guessing reaches 25 %
    jobs += [world.fail(world.configuration("ln", seed), "FAILED", "Diverged: in epoch 1") for seed in range(3)]
    results = load_results([world.sweep(jobs)], world.multirun)
    frame = frame_of(results).set_index("cell")
    assert frame["n"].to_dict() == {"bn": 3, "gn": 2, "ln": 0}
    assert frame["failed"].to_dict() == {"bn": 0, "gn": 1, "ln": 3}
    assert frame["test/accuracy"]["gn"] == pytest.approx(0.91)
    assert pd.isna(frame["test/accuracy"]["ln"])
    assert frame["may be best"]["ln"] is None
    frame = frame.reset_index()
    rows = [line.split() for line in printed(results, frame).splitlines()]
    assert ["ln", "0", "3", *["-"] * 5] in rows
    assert any("Failed runs" in words for words in table_notes(results, frame))
    json.dumps(json_content(frame), allow_nan=False)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_line_is_never_wider_than_the_console_nor_a_number_cut(results, width):
    text = printed(results, frame_of(results), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def four_keys(world, seeds):
    """Eight cells, by norm, l1, lr and label_smoothing."""
    jobs = []
    for norm in ("none", "bn"):
        for l1, lr, smoothing in ((0.0, 0.02, 0.125), (1.5e-5, 0.005, 0.0), (1.5e-5, 0.02, 0.0), (0.0, 0.005, 0.125)):
            for seed in range(seeds):
                config = world.configuration(norm, seed, l1)
                config.optimizer.lr, config.reg.label_smoothing = lr, smoothing
                jobs.append(world.finish(config, {7: 0.9}))
    return load_results([world.sweep(jobs)], world.multirun)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_value_of_four_keys_is_whole_on_any_screen(world, width, seeds):
    results = four_keys(world, seeds)
    frame = frame_of(results)
    text = printed(results, frame, width)
    assert "…" not in text
    head, _, body = text.partition("─\n")
    rows = []
    for line in body.splitlines():
        if "99.00" in line:  # a row's first line has its numbers
            rows.append("")
        rows[-1] += line + " "
    assert len(rows) == len(frame)
    for (_, cell), row in zip(frame.iterrows(), rows, strict=True):
        if "cell" in head.split():
            assert [word for word in row.split() if "=" in word] == cell["cell"].split()[1:]
            assert row.split()[0] == cell["norm.name"]
        else:
            values = [format_value(cell[path]) for path in frame.columns if path in results.varies]
            assert row.split()[: len(values)] == values
        assert row.count("90.00") == row.count("99.00") == 1
        assert row.count("± 0.00") == (0 if seeds == 1 else 2)
        assert row.count("yes") == (seeds == 2)  # all cells are equal
    by_label = width < 80 or (width, seeds) == (80, 2)
    assert ({"cell"} if by_label else {"norm", "l1", "lr", "label_smoothing"}) < set(head.split())


def test_a_screen_too_narrow_for_a_key_each_shows_the_whole_label(world):
    jobs = []
    for norm in ("none", "bn"):
        for lr in (0.02, 0.005):
            config = world.configuration(norm)
            config.optimizer.lr = lr
            jobs.append(world.finish(config, {7: 0.9}, code="0" * 64))
    results = load_results([world.sweep(jobs)], world.multirun)
    lines = printed(results, frame_of(results), 41).splitlines()
    assert max(map(len, lines)) <= 41
    first = [line for line in lines if "lr=" in line]
    assert [line.split("  ")[0] for line in first] == ["none lr=0.02*", "none lr=0.005*", "bn lr=0.02*", "bn lr=0.005*"]
    assert all(line.split()[-3:] == ["1", "90.00", "99.00"] for line in first)


def test_other_code_is_marked(world):
    jobs = [world.finish(world.configuration(), {}), world.finish(world.configuration("gn"), {}, code="0" * 64)]
    results = load_results([world.sweep(jobs)], world.multirun)
    text = printed(results, frame_of(results))
    assert "gn*" in text
    assert "bn*" not in text
    assert "1 of 2 runs" in text


def test_csv_and_json_hold_the_same_numbers(world, results):
    frame = frame_of(results)
    back = pd.read_csv(io.BytesIO(csv_content(frame)))
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    rows = json.loads(json.dumps(json_content(frame), allow_nan=False))
    assert rows[0]["test/accuracy"] == frame["test/accuracy"][0]
    assert rows[0]["n"] == 3


def test_missing_statistics_of_one_seed_are_null(world):
    results = load_results([world.sweep([world.finish(world.configuration(), {})])], world.multirun)
    row = json_content(frame_of(results))[0]
    assert row["test/accuracy sd"] is None
    assert row["test/accuracy ci95"] is None


def test_an_enormous_loss_drops_no_column(world):
    job = world.finish(world.configuration(), {7: 0.9})
    path = world.multirun / "jobs" / job.folder / "result.json"
    stored = json.loads(path.read_text())
    stored["metrics"]["test/loss"] = 1.5539e35
    path.write_text(json.dumps(sealed(stored)))
    results = load_results([world.sweep([job])], world.multirun)
    text = printed(results, frame_of(results), 80)
    assert "1.6e+35" in text
    assert "seconds" in text
