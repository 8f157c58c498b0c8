"""The command `python -m src.compare` with runs that normlab did not train."""

import csv
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from src.bad_input import BadInput
from src.compare import _compare_and_write, _make_parser

NORMS, RATES = {"bn": 0.004, "gn": 0.0, "ln": -0.0005}, (0.1, 0.01)
PATTERN = r"(\w+) is better than (\w+) by ([\d.]+) points \[([\d.]+), ([\d.]+)\]"


@pytest.fixture(scope="module")
def runs():
    """Three norms at two learning rates, with five seeds each."""
    generator = np.random.default_rng(2)
    rows = [(norm, rate, seed) for norm in NORMS for rate in RATES for seed in range(5)]
    frame = pd.DataFrame(rows, columns=["norm", "lr", "seed"])
    frame["accuracy"] = (0.98 + frame["norm"].map(NORMS) + generator.normal(0, 0.0005, len(frame))).round(4)
    frame["minutes"] = generator.uniform(3, 4, len(frame)).round(3)
    return frame


@pytest.fixture
def compare(monkeypatch, tmp_path, runs, capsys):
    """Type the command in a folder with `runs.csv`, and return the text that it prints on one line."""
    monkeypatch.chdir(tmp_path)
    runs.to_csv("runs.csv", index=False)

    def type_command(*words):
        monkeypatch.setattr("sys.argv", ["compare", *words])
        assert _compare_and_write(_make_parser().parse_args()) == 0
        return " ".join(capsys.readouterr().out.split())

    return type_command


USUAL = ("--from-csv", "runs.csv", "--metric", "accuracy", "--factors", "norm,lr")


def test_every_difference_that_is_printed_is_scipys(compare, runs):
    printed = compare(*USUAL)
    means = runs.pivot_table("accuracy", "seed", "norm")  # the mean over both rates, for each seed
    level = 0.0475 * 0.53 / 4  # of four contrasts: three of the norm, one of the learning rate
    found = re.findall(PATTERN, printed)
    assert {pair[:2] for pair in found} == {("bn", "gn"), ("bn", "ln")}
    for better, worse, *numbers in found:
        test = stats.ttest_rel(means[better], means[worse])
        interval = test.confidence_interval(1 - level)
        difference = means[better].mean() - means[worse].mean()
        assert numbers == [f"{100 * value:.2f}" for value in (difference, interval.low, interval.high)]


def test_the_table_has_the_mean_and_the_spread_of_each_cell(compare, runs, tmp_path):
    printed = compare(*USUAL, "--csv", "table.csv")
    written = pd.read_csv(tmp_path / "table.csv").set_index(["norm", "lr"])
    groups = runs.groupby(["norm", "lr"])["accuracy"]
    for cell, values in groups:
        row = written.loc[cell]
        interval = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
        assert (row["n"], row["mean"], row["sd"]) == (5, pytest.approx(values.mean()), pytest.approx(values.std()))
        assert row["ci95"] == pytest.approx((interval[1] - interval[0]) / 2)
        assert f"{100 * values.mean():.2f} ± {100 * values.std():.2f}" in printed


def test_the_report_has_no_sections_about_curves_images_or_environments(compare, tmp_path):
    compare(*USUAL)
    folder = tmp_path / "comparison-runs"
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == [
        *("Table", "Differences", "Left out", "Configuration", "Repeat the comparison"),
    ]
    links = re.findall('href="#(.*?)"', page)
    assert links == re.findall('<section id="(.*?)"', page)
    assert "<script" not in page
    assert "python -m src.compare --from-csv runs.csv --metric accuracy --factors norm,lr" in text
    assert not {"Test errors", "Environment", "Data split"} & {*re.findall("## (.*)", text)}
    assert "normlab does not record comparisons of such runs; the command says that this is look 1." in text
    assert sorted(path.name for path in folder.iterdir()) == [
        *("differences.png", "report.html", "report.md", "svg", "table.csv", "verdict.txt"),
    ]


def test_the_json_has_all_numbers(compare, tmp_path):
    compare(*USUAL, "--json", "all.json", "--look", "2", "--equal", "0.2")
    stored = json.loads((tmp_path / "all.json").read_text())
    assert (stored["source"], stored["metric"], stored["promise"]["look"]) == ("runs.csv", "accuracy", 2)
    assert stored["promise"]["equal_within"] == pytest.approx(0.002)
    assert len(stored["contrasts"]) == 4
    assert len(stored["cells"]) == 6


def test_a_metric_in_its_own_unit_names_no_points(compare):
    printed = compare("--from-csv", "runs.csv", "--metric", "minutes", "--factors", "norm,lr", "--lower-is-better")
    assert "points" not in printed
    assert "%" not in printed


def test_the_next_look_is_named(compare, tmp_path, runs):
    noisy = runs.assign(accuracy=(runs["accuracy"] + 0.003 * np.sin(50 * runs.index)).round(4))
    noisy.to_csv(tmp_path / "noisy.csv", index=False)
    printed = compare("--from-csv", "noisy.csv", *USUAL[2:], "--look", "2")
    assert "Then add --look 3 to this command." in printed or "More seeds are not worth training" in printed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--metric", "accuracy"], "--metric needs runs that normlab did not train"),
        (["--from-csv", "runs.csv"], "--metric is missing"),
        (["--from-csv", "runs.csv", "--experiment", "x", "--metric", "a"], "either a CSV file or an experiment"),
        ([*USUAL, "--tuned", "norm"], "--tuned needs runs that normlab trained"),
        ([*USUAL, "--multirun", "other"], "--multirun needs runs that normlab trained"),
        ([*USUAL, "--look", "0"], "--look 0 cannot be used"),
        ([*USUAL, "--equal", "0"], "--equal 0 cannot be used"),
        (["--from-csv", "runs.csv", "--metric", "accuracy"], "each cell has one seed"),
        (["--mlflow", "sqlite:///none.db", "--experiment", "x", "--metric", "a"], "there is no such file"),
        (["--mlflow", "http://me:pw@host", "--experiment", "x", "--metric", "a"], "contains a login"),
    ],
)
def test_a_command_that_cannot_work_is_refused(compare, tmp_path, words, expected):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput) as refused:
        compare(*words)
    assert expected in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


def test_factors_may_have_the_names_of_other_columns(compare, tmp_path, runs):
    runs.rename(columns={"norm": "cell", "lr": "n"}).to_csv(tmp_path / "odd.csv", index=False)
    compare("--from-csv", "odd.csv", "--metric", "accuracy", "--factors", "cell,n", "--csv", "table.csv")
    header = next(csv.reader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert header[:4] == ["cell", "setting cell", "setting n", "n"]
