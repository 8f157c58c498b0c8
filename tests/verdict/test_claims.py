"""The claims of papers: their quantities and intervals against scipy, and planted methods for which they are false."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from safetensors.numpy import save_file
from scipy import optimize, stats

from src.results.results import Results
from src.runs.paper_schema import parse_paper
from src.sweep.overrides import CONF_FOLDER
from src.verdict.claim_words import basis_lines, claim_lines
from src.verdict.claims import judge_claims, mean_interval, ratio_interval

IMAGES = 10_000
BATCHES, RATES = (2, 4, 8, 16, 32), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
NO_GROUPS = {"norm.groups": None}


def paper_of(*claims, **keys):
    """A paper with these claims, about the error against the batch size."""
    return parse_paper("made up", {"title": "T", "source": "S", "x": "data.batch_size", "claims": [*claims], **keys})


def results_of(error, cells, seeds=5, failed=()):
    """The results of a sweep over `cells`, which are settings; `error` gives a run's test error in percent."""
    rows, lost = [], []
    for settings in cells:
        name = " ".join(f"{path}={value}" for path, value in settings.items())
        for seed in range(seeds):
            row = {**settings, "cell": name, "cell_key": name, "seed": seed, "run": f"{name} s{seed}", "dataset": "d"}
            accuracy = 1 - error(settings, seed) / 100
            if (settings, seed) in failed or np.isnan(accuracy):
                lost.append({key: row[key] for key in (*settings, "seed", "cell_key")})
            else:
                measures = {"val/accuracy": accuracy - 0.01, "test/loss": 2 - accuracy}
                rows.append({**row, "test/accuracy": accuracy, **measures, "test/accuracy_ema": accuracy - 0.02})
    epochs = pd.DataFrame([{"run": row["run"], "train/accuracy": 0.5 + k / 4} for row in rows for k in range(2)])
    return Results(pd.DataFrame(rows), epochs, (), {"d": {"test": IMAGES}}, {}, (), (), tuple(lost))


def batches(norms=("bn", "gn")):
    return [{"norm.name": norm, "data.batch_size": batch} for norm in norms for batch in BATCHES]


def noise(settings, seed, size=0.05):
    """A deviation that depends on the run alone."""
    digits = sum(map(ord, f"{settings} {seed}"))
    return size * float(np.random.default_rng([digits, seed]).standard_normal())


def judge(paper, results, correct=None, level=0.0475):
    return judge_claims(paper, results, correct or {}, level)


def test_a_slope_is_that_of_a_regression_per_seed_with_a_t_interval():
    claim = {"claim": "c", "slope": {"norm": "bn"}, "at_most": 0}

    def error(settings, seed):
        return 5 - (0.5 + 0.1 * seed) * np.log2(settings["data.batch_size"]) + noise(settings, seed)

    results = results_of(error, batches())
    (judged,) = judge(paper_of(claim, x_scale="log2"), results)
    runs = results.runs[results.runs["norm.name"] == "bn"]
    slopes = [
        stats.linregress(np.log2(group["data.batch_size"]), 100 * (1 - group["test/accuracy"])).slope
        for _, group in runs.groupby("seed")
    ]
    interval = stats.ttest_1samp(slopes, 0).confidence_interval(1 - 0.0475)
    assert judged.interval == pytest.approx((np.mean(slopes), interval.low, interval.high))
    assert (judged.outcome, judged.seeds) == ("holds", 5)


def test_a_rank_correlation_is_spearmans():
    claim = {"claim": "c", "rank_correlation": {"norm": "bn"}, "at_most": 0}
    results = results_of(lambda settings, seed: 5 + noise(settings, seed, 1), batches())
    (judged,) = judge(paper_of(claim), results)
    runs = results.runs[results.runs["norm.name"] == "bn"]
    values = [stats.spearmanr(g["data.batch_size"], -g["test/accuracy"]).statistic for _, g in runs.groupby("seed")]
    assert judged.interval[0] == pytest.approx(np.mean(values))
    assert judged.outcome == "cannot tell"


def test_the_interval_of_a_correlation_ends_at_1():
    claim = {"claim": "c", "rank_correlation": {"norm": "bn"}, "at_least": 0.9}
    (judged,) = judge(paper_of(claim), results_of(lambda settings, seed: settings["data.batch_size"], batches()))
    estimate, low, high = judged.interval
    assert (estimate, high, judged.outcome) == (pytest.approx(1), 1, "holds")
    assert 0.9 < low < 1, "rounding leaves the correlation uncertain"


def test_a_ratio_has_fiellers_interval():
    chance = np.random.default_rng(0)
    bottom = 2 + 0.3 * chance.standard_normal(6)
    top = 0.5 * bottom + 0.2 * chance.standard_normal(6)
    ratio, low, high = ratio_interval(top, bottom, (0.0, 0.0), 0.05)

    def excess(r):
        return stats.ttest_1samp(top - r * bottom, 0).pvalue - 0.05

    assert ratio == pytest.approx(top.mean() / bottom.mean())
    assert (low, high) == pytest.approx((optimize.brentq(excess, -5, ratio), optimize.brentq(excess, ratio, 5)))
    assert ratio_interval(top, bottom - 2, (0.0, 0.0), 0.05) is None


def test_intervals_miss_the_truth_as_often_as_they_say():
    chance, tries, misses = np.random.default_rng(1), 2000, np.zeros(2)
    for _ in range(tries):
        bottom = 3 + chance.standard_normal(5)
        top = 0.5 * bottom + 0.5 * chance.standard_normal(5)
        intervals = mean_interval(bottom, 0.0, 0.05)[1:], ratio_interval(top, bottom, (0.0, 0.0), 0.05)
        truths = 3, 0.5
        ends = [(interval or (0, -np.inf, np.inf))[-2:] for interval in intervals]
        misses += [not low <= truth <= high for (low, high), truth in zip(ends, truths, strict=True)]
    assert stats.binomtest(int(misses[0]), tries, 0.05).pvalue > 0.001
    assert misses[1] / tries < 0.065  # a ratio whose denominator may be 0 makes no statement, so it misses less often


def test_claims_share_the_level():
    claim = {"claim": "c", "slope": {"norm": "bn"}, "at_most": 0}
    results = results_of(lambda settings, seed: 5 + noise(settings, seed), batches())
    one, three = judge(paper_of(claim), results), judge(paper_of(claim, claim, claim), results)
    assert [item.alpha for item in (*one, *three)] == pytest.approx([0.0475, *[0.0475 / 3] * 3])
    assert three[0].interval[2] > one[0].interval[2]


def test_equal_runs_have_an_interval_as_wide_as_rounding():
    claim = {"claim": "c", "mean": {"norm": "bn", "data.batch_size": 2}, "at_most": 3}
    (judged,) = judge(paper_of(claim), results_of(lambda settings, seed: 3, batches()))
    assert judged.outcome == "cannot tell"
    half_width = stats.t.isf(0.0475 / 2, 4) * 100 / IMAGES / 12**0.5 / 5**0.5
    assert judged.interval[2] == pytest.approx(3 + half_width)


def test_one_seed_cannot_tell():
    claim = {"claim": "c", "slope": {"norm": "bn"}, "at_most": 0}
    paper = paper_of(claim)
    judged = judge(paper, results_of(lambda settings, seed: 9 / settings["data.batch_size"], batches(), seeds=1))
    assert claim_lines(paper, judged)[1] == "Cannot tell: c: one seed has no interval"


def test_a_seed_with_a_missing_run_is_left_out():
    claim = {"claim": "c", "slope": {"norm": "bn"}, "at_most": 0}
    failed = [({"norm.name": "bn", "data.batch_size": 2}, 3)]

    def error(settings, seed):
        return 9 - np.log2(settings["data.batch_size"]) + noise(settings, seed)

    (whole,), (judged,) = (judge(paper_of(claim), results_of(error, batches(), failed=jobs)) for jobs in ((), failed))
    assert (whole.seeds, whole.left_out, judged.seeds, judged.left_out) == (5, 0, 4, 1)
    all_failed = [(failed[0][0], seed) for seed in range(5)]
    (judged,) = judge(paper_of(claim), results_of(error, batches(), failed=all_failed))
    assert (judged.outcome, judged.reason) == ("cannot tell", "the seeds lack runs")


def test_a_claim_about_runs_that_the_sweep_lacks_cannot_be_told():
    claim = {"claim": "c", "slope": {"norm": "in"}, "at_most": 0}
    (judged,) = judge(paper_of(claim), results_of(lambda settings, seed: 5, batches()))
    assert (judged.outcome, judged.reason) == ("cannot tell", "the sweep has no such runs")


MEASURED = {
    "validation error": 6,
    "training error": 25,
    "test error": 5,
    "test loss": 1.05,
    "gain of recomputed statistics": 2,
}


@pytest.mark.parametrize(("measure", "value"), MEASURED.items())
def test_a_claim_reads_its_measure(measure, value):
    claim = {"claim": "c", "mean": {"norm": "bn"}, "at_most": 90, "measure": measure}
    (judged,) = judge(paper_of(claim), results_of(lambda settings, seed: 5 + noise(settings, seed, 1e-9), batches()))
    assert judged.interval[0] == pytest.approx(value)
    assert judged.outcome == "holds"


def test_a_run_without_recomputed_statistics_has_no_gain():
    results = results_of(lambda settings, seed: 5 + noise(settings, seed), batches())
    without = replace(results, runs=results.runs.drop(columns="test/accuracy_ema"))
    claim = {"claim": "c", "mean": {"norm": "bn"}, "at_most": 90, "measure": "gain of recomputed statistics"}
    assert judge(paper_of(claim), without)[0].reason == "the seeds lack runs"


def test_exact_zeros_are_read_from_the_weights(tmp_path):
    results = results_of(lambda settings, seed: 5, [{"norm.name": "bn"}])
    save_file({"w": np.array([[0.5, 0.0], [0.0005, -0.0]], np.float32)}, tmp_path / "weights.safetensors")
    results = replace(results, runs=results.runs.assign(folder=str(tmp_path), parameters=4))
    claims = [
        {"claim": "c", "mean": {"norm": "bn"}, "at_least": share, "at_most": share, "measure": measure}
        for share, measure in ((50, "zero weights"), (75, "near-zero weights"))
    ]
    assert [item.outcome for item in judge(paper_of(*claims), results)] == ["holds", "holds"]


def products(norms=("bn", "none"), levels=(0.1, 0.2, 0.4)):
    return [{"norm.name": norm, "optimizer.lr": lr, "reg.l2": l2} for norm in norms for lr in levels for l2 in levels]


def test_the_explained_share_is_the_adjusted_r_squared_of_an_analysis_of_variance():
    claim = {"claim": "c", "explained": {"norm": "bn"}, "at_least": 0.5}
    paper = paper_of(claim, x=["optimizer.lr", "reg.l2"], x_scale="log2")

    def error(settings, seed):
        return 5 - np.log2(settings["optimizer.lr"] * settings["reg.l2"]) + noise(settings, seed, 1)

    results = results_of(error, products())
    (judged,) = judge(paper, results)
    runs = results.runs[results.runs["norm.name"] == "bn"]
    shares = []
    for _, seed in runs.groupby("seed"):
        steps = np.round(np.log2(seed["optimizer.lr"] * seed["reg.l2"])).astype(int)  # five levels of the product
        groups = [list(group) for _, group in seed["test/accuracy"].groupby(steps)]
        share = 1 - 1 / (1 + stats.f_oneway(*groups).statistic * 4 / 4)  # 5 groups, 9 runs: 4 and 4 degrees of freedom
        shares.append(1 - (1 - share) * 8 / 4)
    interval = stats.ttest_1samp(shares, 0).confidence_interval(1 - 0.0475)
    assert judged.interval == pytest.approx((np.mean(shares), interval.low, min(interval.high, 1)))


def test_chance_explains_nothing_on_average():
    claim = {"claim": "c", "explained": {"norm": "bn"}, "at_most": 0.5}
    paper = paper_of(claim, x=["optimizer.lr", "reg.l2"])
    chance = np.random.default_rng(0)
    results = results_of(lambda settings, seed: 5 + chance.standard_normal(), products(("bn",)), seeds=200)
    (judged,) = judge(paper, results)
    _, low, high = judged.interval
    assert low < 0 < high
    assert high - low < 0.25


def test_equal_products_explain_all_but_rounding():
    claim = {"claim": "c", "explained": {"norm": "bn"}, "at_least": 0.99}
    paper = paper_of(claim, x=["optimizer.lr", "reg.l2"])
    (judged,) = judge(paper, results_of(lambda job, seed: 5 + job["optimizer.lr"] * job["reg.l2"], products()))
    estimate, low, high = judged.interval
    assert (estimate, high) == (pytest.approx(1), 1)
    assert 0.99 < low < 1


SHIFTS = {
    "unmoved": (lambda lr: 0.2, 0),
    "falls": (lambda lr: 0.04 / lr, -1),
    "rises": (lambda lr: lr, 1),
}


@pytest.mark.parametrize("case", SHIFTS)
def test_the_shift_of_the_best_strength_is_spearmans_correlation(case):
    best, expected = SHIFTS[case]
    claim = {"claim": "c", "shift_of_best": {"norm": "bn"}, "strength": "reg.l2", "at_most": 1}

    def error(settings, seed):
        return 5 + abs(np.log2(settings["reg.l2"] / best(settings["optimizer.lr"]))) + noise(settings, seed, 0.01)

    (judged,) = judge(paper_of(claim, x="optimizer.lr", x_scale="log10"), results_of(error, products()))
    assert judged.interval[0] == pytest.approx(expected)


def test_a_difference_of_differences_adds_and_subtracts():
    claim = {
        "claim": "c",
        "mean": {"norm": "bn", "data.batch_size": 2},
        "minus": [{"norm": "bn", "data.batch_size": 32}, {"norm": "gn", "data.batch_size": 2}],
        "plus": {"norm": "gn", "data.batch_size": 32},
        "at_least": 1,
    }
    paper = paper_of(claim)
    results = results_of(rising({"bn": 1, "gn": 0.5}), batches())
    judged = judge(paper, results)
    table = (100 * (1 - results.runs.set_index(["norm.name", "data.batch_size", "seed"])["test/accuracy"])).unstack()
    values = table.loc["bn", 2] - table.loc["bn", 32] - table.loc["gn", 2] + table.loc["gn", 32]
    interval = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.0475)
    assert judged[0].interval == pytest.approx((values.mean(), interval.low, interval.high))
    assert "difference of differences of means 2." in claim_lines(paper, judged)[1]


def correct_of(results, shared=0.0, seed=0):
    """Correct images of each run: 1 % of the errors are drawn independently, and a seed's luck adds `shared` points."""
    chance = np.random.default_rng(seed)
    rights = np.clip(chance.beta(20, 0.3, IMAGES), 0, 1)
    return {
        run: chance.random(IMAGES) < np.clip(rights - shared / 100 * chance.standard_normal(), 0, 1)
        for run in results.runs["run"]
    }


def test_the_variance_of_independent_errors_has_a_chi_square_interval():
    results = results_of(lambda settings, seed: 5, [{"norm.name": "bn"}], seeds=40)
    correct = correct_of(results)
    claim = {"claim": "c", "variance_ratio": {"norm": "bn"}, "at_most": 2, "at_least": 0.4}
    (judged,) = judge(paper_of(claim), results, correct)
    right = np.array([*correct.values()])
    ratio = right.mean(1).var(ddof=1) / (right.var(0, ddof=1).sum() / IMAGES**2)
    low, high = stats.chi2.interval(1 - 0.0475, 39)
    assert judged.interval == pytest.approx((ratio, 39 * ratio / high, 39 * ratio / low))
    assert judged.outcome == "holds"
    several = results_of(lambda settings, seed: 5, batches())
    assert judge(paper_of(claim), several)[0].reason == "the claim selects several methods"


def shipped(name):
    tree = OmegaConf.to_container(OmegaConf.load(CONF_FOLDER / "paper" / f"{name}.yaml"))
    return parse_paper(name, tree["hydra"]["sweeper"]["paper"])


def outcomes(name, results, correct=None):
    return [item.outcome for item in judge(shipped(name), results, correct)]


def rising(by_norm):
    """Errors that rise by so many points each time the batch is halved."""
    return lambda settings, seed: (
        10 - by_norm[settings["norm.name"]] * np.log2(settings["data.batch_size"]) + noise(settings, seed)
    )


YES, NO, OPEN = "holds", "does not hold", "cannot tell"


@pytest.mark.parametrize(
    ("rises", "expected"),
    [
        ({"bn": 1, "gn": 0}, [YES, YES, YES]),
        ({"bn": 0, "gn": 0}, [NO, NO, OPEN]),  # bn that normalises each image by itself
        ({"bn": 1, "gn": 1}, [YES, NO, NO]),  # gn that uses the batch
        ({"bn": 1, "gn": -1}, [YES, YES, NO]),
    ],
)
def test_gn_batch_size_refuses_planted_methods(rises, expected):
    assert outcomes("gn_batch_size", results_of(rising(rises), batches())) == expected


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        ({"in": 2, 1: 1}, [YES, YES, YES]),
        ({"in": 0, 1: 0}, [NO, NO, YES]),  # groups that change nothing
        ({"in": -1, 1: -1, 2: 2}, [NO, NO, NO]),
    ],
)
def test_gn_groups_refuses_planted_methods(excess, expected):
    cells = [{"norm.name": "gn", "norm.groups": groups} for groups in (1, 2, 4, 8, 16)]
    cells.append({"norm.name": "in", **NO_GROUPS})

    def error(settings, seed):
        return 5 + excess.get(settings["norm.groups"] or settings["norm.name"], 0) + noise(settings, seed, 0.01)

    assert outcomes("gn_groups", results_of(error, cells)) == expected


@pytest.mark.parametrize(
    ("limits", "direction", "expected"),
    [
        ({"bn": 3, "none": 0.1}, -1, [YES, YES]),
        ({"bn": 0.1, "none": 0.1}, 1, [NO, NO]),  # a norm that changes nothing, and errors that rise
        ({"bn": 3, "none": 1}, 0, [NO, NO]),
    ],
)
def test_bn_learning_rate_refuses_planted_methods(limits, direction, expected):
    def error(settings, seed):
        lr = settings["optimizer.lr"]
        if lr > limits[settings["norm.name"]]:
            return float("nan") if settings["norm.name"] == "none" else 90  # one diverges, the other learns nothing
        return 10 + direction * np.log10(lr) + noise(settings, seed, 0.05 if direction else 1)

    cells = [{"norm.name": norm, "optimizer.lr": lr} for norm in ("bn", "none") for lr in RATES]
    assert outcomes("bn_learning_rate", results_of(error, cells, seeds=6)) == expected


@pytest.mark.parametrize(
    ("shared", "expected"),
    [(0.0, [YES, YES]), (1.0, [NO, YES])],  # 1.0: good and bad seeds, so errors are not independent
)
def test_seed_variance_refuses_dependent_errors(shared, expected):
    results = results_of(lambda settings, seed: 5, [{"norm.name": "bn"}], seeds=100)
    assert outcomes("seed_variance", results, correct_of(results, shared)) == expected


def test_seed_variance_refuses_runs_that_balance_each_other():
    results = results_of(lambda settings, seed: 5, [{"norm.name": "bn"}], seeds=100)
    chance = np.random.default_rng(0)
    correct = {run: chance.permutation(IMAGES) >= 300 + chance.integers(3) for run in results.runs["run"]}
    assert outcomes("seed_variance", results, correct) == [YES, NO]


def test_the_sentences_give_outcome_number_interval_and_bound():
    paper = shipped("gn_batch_size")
    judged = judge(paper, results_of(rising({"bn": 1, "gn": 1}), batches()))
    first, rises, _, ratio = claim_lines(paper, judged)
    assert first.endswith("of 3 claims, 1 holds and 2 do not hold")
    assert rises.startswith("Holds: the error of bn rises by at least 0.1 points each time the batch is halved: slope")
    assert rises.endswith("points per doubling, claimed at most -0.1 (5 seeds)")
    assert ratio.startswith("Does not hold: ")
    assert "claimed from -0.25 to 0.25" in ratio
    assert basis_lines(judged)[0].startswith("In at least 95.25 % of sweeps")
    assert [item.as_json()["outcome"] for item in judged] == [YES, NO, NO]


def test_an_open_claim_says_how_many_seeds_would_decide_it():
    claim = {"claim": "c", "mean": {"norm": "bn", "data.batch_size": 2}, "at_most": 5.3}
    paper = paper_of(claim)

    def error(settings, seed):
        return 5 + noise(settings, seed, 0.5)

    (judged,) = judge(paper, results_of(error, batches()))
    seeds = judged.seeds_to_decide
    assert judged.outcome == OPEN
    assert claim_lines(paper, [judged])[1].endswith(f"(5 seeds; about {seeds} would probably decide it)")
    values = [100 * (1 - run) for run in results_of(error, batches()).runs["test/accuracy"][:5]]
    deviation, distance = np.std(values, ddof=1), abs(np.mean(values) - 5.3)

    def enough(n):  # the half width of the interval, and 80 % of the means
        return (stats.t.isf(judged.alpha / 2, n - 1) + stats.t.ppf(0.9, n - 1)) * deviation / n**0.5 <= distance

    assert enough(seeds)
    assert not enough(seeds - 1)
    (decided,) = judge(paper, results_of(error, batches(), seeds=4 * seeds))
    assert (decided.outcome, decided.seeds_to_decide) == (YES, None)
