"""How much each source of randomness contributes to the spread of the test accuracy."""

import statistics

import numpy as np
import pandas as pd
import pytest

from src.config import SOURCES
from src.results import load_runs, variance_by_source
from src.results.frames import SETTING_COLUMNS
from src.results.variance import ALL

# Quantiles from printed tables: chi-square at 0.025 and 0.975, and F at 0.975, by degrees of freedom.
CHI_SQUARE = {2: (0.0506, 7.378), 3: (0.2158, 9.348), 9: (2.700, 19.023)}
F_9_9 = 4.026
COLUMNS = [*SETTING_COLUMNS, "seed", "dataset", "test/accuracy"]


def frame(accuracies, norm="bn", l1=0.0):
    """Runs with made-up accuracies, which are listed by (init_seed, order_seed, split_seed, seed)."""
    rows = [
        dict.fromkeys(SETTING_COLUMNS)
        | {"norm.name": norm, "reg.l1": l1, "dataset": "d" * 64, "test/accuracy": accuracy}
        | dict(zip(("init_seed", "order_seed", "data.split_seed", "seed"), seeds, strict=True))
        for seeds, accuracy in accuracies.items()
    ]
    return pd.DataFrame(rows, dtype=object)


def preset(dice, spreads):
    """The runs of `experiment=variance`, with a normal effect of each source."""
    init, order, split = (dice.normal(0, spread, (2, 11)) for spread in spreads)
    alone = {(k, 0, 0, 0): init[0, k] for k in range(1, 11)}
    alone |= {(0, k, 0, 0): order[0, k] for k in range(1, 11)} | {(0, 0, k, 0): split[0, k] for k in range(1, 11)}
    return alone | {(k, k, k, 0): init[1, k] + order[1, k] + split[1, k] for k in range(1, 11)}


def points(accuracies):
    return statistics.stdev(100 * value for value in accuracies)


def test_each_row_is_the_spread_of_its_own_runs_with_textbook_intervals():
    accuracies = preset(np.random.default_rng(0), (0.0005, 0.0003, 0.0001))
    rows = variance_by_source(frame(accuracies)).set_index("source")
    assert list(rows.index) == [*SOURCES, ALL]
    total = points(list(accuracies.values())[30:])
    for position, (source, row) in enumerate(rows.iterrows()):
        sd = points(list(accuracies.values())[10 * position : 10 * position + 10])
        ends = [sd * (9 / quantile) ** 0.5 for quantile in reversed(CHI_SQUARE[9])]
        assert (row["method"], row["runs"]) == ("bn", 10)
        assert [row["sd"], row["sd_low"], row["sd_high"]] == pytest.approx([sd, *ends], rel=1e-3)
        if source != ALL:
            share = (sd / total) ** 2
            expected = [share, share / F_9_9, share * F_9_9]
            assert [row["share"], row["share_low"], row["share_high"]] == pytest.approx(expected, rel=1e-3)
    assert rows.loc[ALL, ["share", "share_low", "share_high"]].isna().all()


def test_the_intervals_cover_the_truth_in_95_percent_of_studies():
    dice, spreads, studies = np.random.default_rng(1), np.array([0.0006, 0.0003, 0.0002]), 600
    runs = pd.concat([frame(preset(dice, spreads), l1=1e-6 * study) for study in range(studies)], ignore_index=True)
    rows = variance_by_source(runs)
    assert len(rows) == 4 * studies
    sds = 100 * np.array([*spreads, np.linalg.norm(spreads)])
    for source, sd in zip([*SOURCES, ALL], sds, strict=True):
        chosen = rows[rows["source"] == source]
        covered = ((chosen["sd_low"] <= sd) & (sd <= chosen["sd_high"])).mean()
        assert covered == pytest.approx(0.95, abs=0.03)  # three standard errors
        if source != ALL:
            share = (sd / sds[-1]) ** 2
            covered = ((chosen["share_low"] <= share) & (share <= chosen["share_high"])).mean()
            assert covered == pytest.approx(0.95, abs=0.03)


def test_seed_counts_where_a_source_has_no_seed_of_its_own():
    # With init_seed=null, the seed moves both the weights and the order, so (None, None, 0, 1) is no run of a series.
    accuracies = {(None, None, 0, 0): 0.90, (1, None, 0, 0): 0.92, (2, None, 0, 0): 0.97, (None, None, 0, 1): 0.5}
    (row,) = variance_by_source(frame(accuracies)).to_dict("records")
    assert (row["source"], row["runs"]) == ("init_seed", 3)
    assert row["sd"] == pytest.approx(points([0.90, 0.92, 0.97]))
    low, high = CHI_SQUARE[2]
    ends = [row["sd"] * (2 / high) ** 0.5, row["sd"] * (2 / low) ** 0.5]
    assert [row["sd_low"], row["sd_high"]] == pytest.approx(ends, rel=1e-3)
    assert np.isnan(row["share"])


def test_a_run_that_two_keys_describe_counts_once():
    accuracies = {(None, None, 0, 0): 0.90, (0, 0, 0, 0): 0.90, (1, None, 0, 0): 0.92, (2, 0, 0, 0): 0.97}
    (row,) = variance_by_source(frame(accuracies)).to_dict("records")
    assert (row["runs"], row["sd"]) == (3, pytest.approx(points([0.90, 0.92, 0.97])))


def test_the_largest_series_counts_and_three_equal_seeds_are_a_run_of_all_sources():
    """A full grid of seeds and splits: three seeds at each of four splits."""
    values = iter(np.random.default_rng(2).uniform(0.9, 1, 12))
    accuracies = {(None, None, split, seed): next(values) for seed in range(3) for split in range(4)}
    rows = variance_by_source(frame(accuracies)).set_index("source")
    assert rows["runs"].to_dict() == {"data.split_seed": 4, ALL: 3}
    assert rows.loc["data.split_seed", "sd"] == pytest.approx(points([accuracies[None, None, k, 0] for k in range(4)]))
    assert rows.loc[ALL, "sd"] == pytest.approx(points([accuracies[None, None, k, k] for k in range(3)]))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_runs_say_nothing_about_a_spread(count):
    rows = variance_by_source(frame({(k, 0, 0, 0): 0.9 + 0.01 * k for k in range(count)}).reindex(columns=COLUMNS))
    assert rows.empty
    assert "share_high" in rows


def test_a_sweep_of_seeds_varies_no_source_alone():
    assert variance_by_source(frame({(None, None, 0, seed): 0.9 + 0.01 * seed for seed in range(9)})).empty


def test_equal_accuracies_have_no_interval():
    accuracies = dict.fromkeys(preset(np.random.default_rng(0), (1, 1, 1)), 0.975)
    rows = variance_by_source(frame(accuracies))
    assert rows["sd"].tolist() == [0, 0, 0, 0]
    assert rows.drop(columns=["method", "source", "runs", "sd"]).isna().all(axis=None)


def test_finished_jobs_are_grouped_by_method(world):
    """Jobs of two norms and three first weights; each norm has a spread of its own."""
    jobs = []
    for norm, step in (("bn", 1), ("gn", 4)):
        for seed in range(3):
            config = world.configuration(norm)
            config.init_seed, config.order_seed = seed, 0
            jobs.append(world.finish(config, dict.fromkeys(range(step * seed), 0.9)))
    world.sweep(jobs)
    rows = variance_by_source(load_runs(world.multirun).runs)
    assert rows[["method", "source", "runs"]].values.tolist() == [["bn", "init_seed", 3], ["gn", "init_seed", 3]]
    assert rows["sd"].tolist() == pytest.approx([1, 4])  # 0, 1 and 2, or 0, 4 and 8 of 100 images are wrong


@pytest.mark.slow  # a whole command; the tests of the grid, the jobs and the figures cover its parts
def test_the_command_trains_each_source_once_and_reports_its_spread(command, tmp_path):
    small = ("data=synthetic", "data.images=600", "data.validation=100", "data.noise=6", "epochs=1", "tracking=none")
    first = command("src.train", "-m", "init_seed=0,1,2", *small)
    assert first.returncode == 0, first.stderr
    rows = variance_by_source(load_runs(tmp_path / "multirun").runs)
    assert rows[["source", "runs"]].values.tolist() == [["init_seed", 3]]
    assert rows["sd"][0] > 0
    assert list(tmp_path.glob("multirun/sweeps/*/variance.png"))
    results = {path: path.stat().st_mtime_ns for path in tmp_path.glob("multirun/jobs/*/result.json")}
    longer = command("src.train", "-m", "init_seed=0,1,2,3", *small)
    assert longer.returncode == 0, longer.stderr
    assert len(results) == 3
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert variance_by_source(load_runs(tmp_path / "multirun").runs)["runs"].tolist() == [4]
