import io
import json

import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from src.report.table import SELECTION_RULE, csv_content, json_content, table_frame
from src.report.terminal import print_table
from src.results.results import load_results
from src.runs.naming import format_value
from src.storage.stored import sealed


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
    frame = table_frame(results).set_index("norm.name")
    for column in ("val/accuracy", "test/accuracy", "test/loss", "test/errors"):
        pd.testing.assert_series_equal(frame[column], expected[column].mean(), check_names=False)
    for column in ("val/accuracy", "test/accuracy"):
        pd.testing.assert_series_equal(frame[f"{column} sd"], expected[column].std(), check_names=False)
    pd.testing.assert_series_equal(frame["seconds"], expected["train"].mean(), check_names=False)
    halves = expected["test/accuracy"].sem() * stats.t.ppf(0.975, 2)
    pd.testing.assert_series_equal(frame["test/accuracy ci95"], halves, check_names=False)
    assert frame["n"].tolist() == [3, 3]


def test_the_printed_table_has_percent_spread_and_the_rule(results):
    text = printed(results, table_frame(results))
    # bn: 2, 4 and 5 errors (image 50 is one more for s1) of 100
    assert "96.33 ± 1.53" in text
    assert "± 3.79" in text
    assert SELECTION_RULE in text
    assert "n = 1" not in text
    assert "15,002 parameters" in text


def test_a_single_seed_comes_with_a_warning(world):
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("none", "gn")]
    results = load_results([world.sweep(jobs)], world.multirun)
    text = " ".join(printed(results, table_frame(results)).split())
    interval = stats.binomtest(99, 100).proportion_ci(0.95, method="wilson")
    half_width = f"{50 * (interval.high - interval.low):.2f}"
    assert "One seed (n = 1) cannot rank methods" in text
    assert (
        f"With 100 test images, the accuracy of a single run has a 95 % interval of up to ±{half_width} points" in text
    )
    assert "Do not compare rows by this interval, because all rows share the test images." in text
    assert "difference" not in text
    assert "15,004" in text  # the parameters differ, so they have a column
    assert "99.00" in text
    assert "± 0" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_line_is_never_wider_than_the_console_nor_a_number_cut(results, width):
    text = printed(results, table_frame(results), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert ("too narrow" in text) == (width == 60)


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
    frame = table_frame(results)
    text = printed(results, frame, width)
    assert "…" not in text
    table = text[: text.index(SELECTION_RULE.split(",")[0])]
    head, _, body = table.partition("─\n")
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
        # Of 100 images: two equal numbers of errors show no spread, but not that there is none.
        assert row.count("± 2.59") == (seeds == 2 and "95 %" in head)
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
    lines = printed(results, table_frame(results), 41).splitlines()
    assert max(map(len, lines)) <= 41
    first = [line for line in lines if "lr=" in line]
    assert [line.split("  ")[0] for line in first] == ["none lr=0.02*", "none lr=0.005*", "bn lr=0.02*", "bn lr=0.005*"]
    assert all(line.split()[-3:] == ["1", "90.00", "99.00"] for line in first)


def test_dropped_columns_are_named(world):
    results = four_keys(world, 1)
    text = " ".join(printed(results, table_frame(results), 60).split())
    assert "too narrow for these columns: test loss, training seconds, parameters (see table.csv)" in text


def test_other_code_is_marked(world):
    jobs = [world.finish(world.configuration(), {}), world.finish(world.configuration("gn"), {}, code="0" * 64)]
    results = load_results([world.sweep(jobs)], world.multirun)
    text = printed(results, table_frame(results))
    assert "gn*" in text
    assert "bn*" not in text
    assert "1 of 2 runs" in text


def test_csv_and_json_hold_the_same_numbers(world, results):
    frame = table_frame(results)
    back = pd.read_csv(io.BytesIO(csv_content(frame)))
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    rows = json.loads(json.dumps(json_content(frame), allow_nan=False))
    assert rows[0]["test/accuracy"] == frame["test/accuracy"][0]
    assert rows[0]["n"] == 3


def test_missing_statistics_of_one_seed_are_null(world):
    results = load_results([world.sweep([world.finish(world.configuration(), {})])], world.multirun)
    row = json_content(table_frame(results))[0]
    assert row["test/accuracy sd"] is None
    assert row["test/accuracy ci95"] is None


def test_an_enormous_loss_drops_no_column(world):
    job = world.finish(world.configuration(), {7: 0.9})
    path = world.multirun / "jobs" / job.folder / "result.json"
    stored = json.loads(path.read_text())
    stored["metrics"]["test/loss"] = 1.5539e35
    path.write_text(json.dumps(sealed(stored)))
    results = load_results([world.sweep([job])], world.multirun)
    text = printed(results, table_frame(results), 80)
    assert "1.6e+35" in text
    assert "too narrow" not in text
