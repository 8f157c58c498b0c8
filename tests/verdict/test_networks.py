import numpy as np
import pytest
from statsmodels.stats import contingency_tables, multitest

from src.verdict.networks import compare_networks, networks_sentence, significant_difference
from tests.verdict.made_up import accuracies_of

IMAGES = 2000


def networks(shares, seed=0):
    """One network per share of correct images: the comparison, and the correct images by cell."""
    correct = np.random.default_rng(seed).random((len(shares), IMAGES)) < np.array(shares)[:, None]
    test = {(f"m{cell}", 0.0): [row.mean()] for cell, row in enumerate(correct)}
    table = accuracies_of(test, images=IMAGES)
    table.runs[:, 0] = [f"run {cell}" for cell in range(len(shares))]
    by_cell = dict(zip(table.cells, correct, strict=True))
    return compare_networks([table], dict(zip(table.runs[:, 0], correct, strict=True))), by_cell


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_has_statsmodels_mcnemar_and_holm(seed):
    pairs, correct = networks([0.9, 0.91, 0.93, 0.95], seed)
    assert len(pairs) == 6
    expected = []
    for pair in pairs:
        one, other = correct[pair.better], correct[pair.worse]
        table = [[(one & other).sum(), (one & ~other).sum()], [(~one & other).sum(), (~one & ~other).sum()]]
        expected.append(contingency_tables.mcnemar(table, exact=True).pvalue)
        assert pair.difference == pytest.approx(one.mean() - other.mean())
        assert pair.difference >= 0
        assert pair.disputed == (one != other).sum()
    assert [pair.p for pair in pairs] == pytest.approx(expected)
    corrected = multitest.multipletests(expected, method="holm")
    assert [pair.p_holm for pair in pairs] == pytest.approx(corrected[1])
    assert [pair.significant for pair in pairs] == corrected[0].tolist()
    assert 0 < sum(corrected[0]) < 6


def test_many_networks_are_compared_like_two():
    pairs, correct = networks([0.97] * 60)
    assert len(pairs) == 60 * 59 / 2
    pair = pairs[777]
    assert pair.difference == pytest.approx(correct[pair.better].mean() - correct[pair.worse].mean())


def test_a_network_without_predictions_is_left_out():
    table = accuracies_of({(norm, 0.0): [0.9] for norm in ("bn", "gn", "ln")}, images=3)
    table.runs[:, 0] = ["bn", "gn", "ln"]
    right = np.array([True, True, False])
    (pair,) = compare_networks([table], {"bn": right, "ln": right})
    assert {pair.better, pair.worse} == {"bn 0.0", "ln 0.0"}


def test_networks_of_different_seeds_are_not_compared():
    table = accuracies_of({("bn", 0.0): [0.9, np.nan], ("gn", 0.0): [np.nan, 0.9]}, images=3)
    table.runs[0, 0], table.runs[1, 1] = "bn", "gn"
    right = np.array([True, True, False])
    assert compare_networks([table], {"bn": right, "gn": right}) == []


def test_the_sentence_says_which_gap_is_largest_and_what_would_be_significant():
    pairs, _ = networks([0.9, 0.901, 0.902])
    largest = max(pair.difference for pair in pairs)
    sentence = networks_sentence(pairs)
    assert sentence.startswith("No two differ significantly")
    assert f"{100 * largest:.2f} points" in sentence
    needed = significant_difference(max(pairs, key=lambda pair: pair.difference).disputed, 0.05 / 3) / IMAGES
    assert f"(about {100 * needed:.2f} needed)" in sentence
    different = networks_sentence(networks([0.9, 0.9, 0.97])[0])
    assert "2 of 3 pairs differ significantly" in different
    assert "; m2 0.0 leads m" in different


@pytest.mark.parametrize(("disputed", "alpha"), [(0, 0.05), (7, 0.05), (150, 0.05 / 15), (151, 0.001)])
def test_a_significant_difference_is_the_smallest_one(disputed, alpha):
    lead = significant_difference(disputed, alpha)

    def p(difference):
        total = max(disputed, difference)
        total += (total - difference) % 2
        fewer = (total - difference) // 2
        return contingency_tables.mcnemar([[0, total - fewer], [fewer, 0]], exact=True).pvalue

    assert p(lead) < alpha <= p(lead - 1)
