from itertools import product

import numpy as np
import pytest

from src.errors import chance
from src.errors.answers import CellPredictions, RunPredictions
from src.errors.calibration import calibrate
from src.errors.chance import chance_limits
from src.errors.seed_table import seed_table

CLASSES = 4


def answers_of(label, predicted, missing=()):
    """The predictions of cells `c0`, `c1` ... from predicted classes (seeds, cells, N), without the missing runs."""
    calibration = calibrate(np.ones(1), np.ones(1, dtype=bool))

    def run(classes):
        return RunPredictions(label, classes.astype(np.int16), np.ones(len(label)), np.ones(CLASSES), calibration)

    cells = {}
    for cell in range(predicted.shape[1]):
        seeds = [seed for seed in range(len(predicted)) if (seed, cell) not in missing]
        runs = {f"c{cell} s{seed}": run(predicted[seed, cell]) for seed in seeds}
        cells[f"c{cell}"] = CellPredictions(
            runs, predicted[0, cell], np.ones(len(label)), np.ones(len(label)), calibration
        )
    return cells


def drawn(source, seeds, cells, images=120, error=0.15):
    """Labels (N,), and predictions of equal cells (seeds, cells, N) with hard and easy images."""
    label = source.integers(0, CLASSES, images)
    wrong = source.random((seeds, cells, images)) < error * source.exponential(size=images)
    return label, (label + wrong * source.integers(1, CLASSES, (seeds, cells, images))) % CLASSES


@pytest.fixture
def case():
    label, predicted = drawn(np.random.default_rng(4), 3, 4)
    missing = {(0, 3), (1, 2)}
    existing = {(s, c): predicted[s, c] for s, c in product(range(3), range(4)) if (s, c) not in missing}
    return label, existing, seed_table(answers_of(label, predicted, missing), CLASSES)


def test_images_of_one_cell_alone_are_counted_by_seed(case):
    label, runs, table = case
    for cell in range(4):
        counts = []
        for seed in [seed for seed, c in runs if c == cell]:
            own = runs[seed, cell] == label
            others = np.array([run == label for (s, c), run in runs.items() if s == seed and c != cell])
            counts.append([(~own & others.all(axis=0)).sum(), (own & ~others.any(axis=0)).sum()])
        assert table.means()[cell, :2] == pytest.approx(np.mean(counts, axis=0))


def test_confusions_are_counted_by_run(case):
    label, runs, table = case
    assert len(table.class_pairs) == 12
    for (true, wrong), means in zip(table.class_pairs, table.means()[:, 2:].T, strict=True):
        for cell in range(4):
            own = [((label == true) & (run == wrong)).sum() for (_, c), run in runs.items() if c == cell]
            assert means[cell] == pytest.approx(np.mean(own))


def test_only_the_most_frequent_confusions_are_kept(case, monkeypatch):
    monkeypatch.setattr("src.errors.seed_table.MAX_CONFUSIONS", 3)
    label, predicted = drawn(np.random.default_rng(4), 3, 4)
    every = np.array([((label == a) & (predicted == b)).sum() for a, b in product(range(4), repeat=2) if a != b])
    table = seed_table(answers_of(label, predicted), CLASSES)
    assert sorted(table.counts[..., 2:].sum(axis=(0, 1))) == sorted(every)[-3:]


def test_disagreement_compares_neighbouring_seeds(case):
    _, runs, table = case
    for a, b in product(range(4), repeat=2):
        shares = [
            (runs[s, x] != runs[t, y]).mean()
            for s, t in ((0, 1), (1, 2), (2, 0))
            for x, y in ((a, b), (b, a))
            if (s, x) in runs and (t, y) in runs
        ]
        assert table.disagreement()[a, b] == pytest.approx(np.mean(shares))
    excess = table.excess_disagreement()
    same = np.diagonal(table.disagreement())
    assert excess[0, 2] == pytest.approx(table.disagreement()[0, 2] - (same[0] + same[2]) / 2)


def test_with_one_seed_the_runs_of_that_seed_are_compared():
    label, predicted = drawn(np.random.default_rng(2), 1, 2)
    shares = seed_table(answers_of(label, predicted), CLASSES).disagreement()
    assert shares[0, 1] == (predicted[0, 0] != predicted[0, 1]).mean()
    assert np.isnan(np.diagonal(shares)).all()


def test_an_arrangement_is_as_good_as_other_predictions(case):
    label, predicted = drawn(np.random.default_rng(9), 4, 5)
    order = np.array([np.random.default_rng(seed).permutation(5) for seed in range(4)])
    rearranged = seed_table(answers_of(label, predicted[np.arange(4)[:, None], order]), CLASSES)
    table = seed_table(answers_of(label, predicted), CLASSES)
    assert table.largest_values(order) == rearranged.largest_values()
    assert table.largest_values(order) != table.largest_values()


def test_runs_without_errors_have_no_confusions_and_never_differ():
    label = np.arange(40) % CLASSES
    table = seed_table(answers_of(label, np.tile(label, (2, 3, 1))), CLASSES)
    assert set(table.largest_values().values()) == {0}
    assert table.means().shape == (3, 2)


def found(label, predicted, level):
    table = seed_table(answers_of(label, predicted), CLASSES)
    limits = chance_limits(table.largest_values, table.has_run, level)
    return {kind for kind, value in table.largest_values().items() if value > limits[kind]}


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_equal_methods_have_a_finding_in_at_most_the_level_of_sweeps(monkeypatch, shared):
    monkeypatch.setattr(chance, "ARRANGEMENTS", 99)
    source, sweeps, level = np.random.default_rng(12), 200, 0.1
    false = 0
    for _ in range(sweeps):
        label, predicted = drawn(source, 3, 4, images=60)
        same = source.random((3, 1, 60)) < shared  # on these images, all runs of a seed predict the same class
        false += bool(found(label, np.where(same, predicted[:, :1], predicted), level))
    assert 0 < false <= sweeps * level + 2 * (sweeps * level * (1 - level)) ** 0.5


def test_planted_differences_are_found():
    label, predicted = drawn(np.random.default_rng(6), 6, 4, images=600, error=0.02)
    assert found(label, predicted, 0.0025) == set()
    hard = predicted.copy()
    hard[:, 2, :30] = (label[:30] + 1) % CLASSES  # cell 2 always misclassifies these images
    assert found(label, hard, 0.0025) == {"wrong alone", "confusion", "disagreement"}
    easy = predicted.copy()
    easy[:, :, :30] = (label[:30] + 1) % CLASSES
    easy[:, 1, :30] = label[:30]  # cell 1 alone classifies these images correctly
    assert found(label, easy, 0.0025) == {"right alone", "confusion", "disagreement"}
