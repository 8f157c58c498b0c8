import numpy as np
import pytest

from src.errors.answers import RunPredictions, self_confidence
from src.errors.calibration import calibrate
from src.errors.labels import find_suspects

CLASSES = 4


def answers(label, probabilities):
    """A run's answers, as they are kept of its predictions."""
    predicted = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(label)), predicted]
    own = self_confidence(label, probabilities)
    return RunPredictions(label, predicted, sure, own, calibrate(sure, predicted == label))


def suspects(label, runs):
    return find_suspects([answers(label, run) for run in runs], np.mean(runs, axis=0))


def learnt(truth, seeds, noise=1.0):
    """Probabilities of runs that have learnt the truth, each with noise of its own."""
    source = np.random.default_rng(1)
    runs = []
    for _ in range(seeds):
        logits = source.normal(0, noise, (len(truth), CLASSES))
        logits[np.arange(len(truth)), truth] += 5
        powers = np.exp(logits)
        runs.append(powers / powers.sum(axis=1, keepdims=True))
    return runs


def test_planted_label_errors_are_found_with_the_true_class_suggested():
    truth = np.random.default_rng(0).integers(0, CLASSES, 400)
    label = truth.copy()
    planted = [17, 200, 333]
    label[planted] = (label[planted] + 1) % CLASSES
    found = suspects(label, learnt(truth, 6, noise=0.5))
    assert sorted(suspect.index for suspect in found) == planted
    for suspect in found:
        assert suspect.suggested == truth[suspect.index]
        assert suspect.label == label[suspect.index]
        assert suspect.share == 1
        assert suspect.confidence > 0.9


def test_suspects_are_sorted_by_confidence_then_index():
    label = np.zeros(60, dtype=np.int64)
    run = np.tile([0.85, 0.05, 0.05, 0.05], (60, 1))
    run[30:, :2] = [0.05, 0.85]
    label[30:] = 1
    for index, sure in ((3, 0.90), (8, 0.97), (12, 0.90), (14, 0.60)):
        run[index] = [0.97 - sure, sure, 0.02, 0.01]
    found = suspects(label, [run, run])
    assert [suspect.index for suspect in found] == [8, 3, 12]  # 14 is not sure enough
    assert found[0].confidence == pytest.approx(0.97)


def test_most_runs_must_agree_on_a_suspect():
    truth = np.arange(200) % CLASSES
    label = truth.copy()
    label[5] = (label[5] + 1) % CLASSES
    runs = learnt(truth, 5)
    for run in runs[:2]:  # two of five answer as the label says
        run[5] = np.eye(CLASSES)[label[5]]
    assert suspects(label, runs) == ()
    runs[0][5] = np.eye(CLASSES)[truth[5]]
    (found,) = suspects(label, runs)
    assert (found.index, found.share) == (5, 0.8)


def test_a_class_that_the_runs_always_doubt_is_not_suspected():
    label = np.arange(200) % 2
    run = np.tile([0.95, 0.03, 0.01, 0.01], (200, 1))
    run[label == 1] = [0.2, 0.78, 0.01, 0.01]
    doubted = np.flatnonzero(label == 1)[:40]
    run[doubted] = [0.76, 0.22, 0.01, 0.01]  # the runs have not learnt all of class 1: much of it looks like class 0
    assert suspects(label, [run] * 3) == ()
    run[doubted[5]] = [0.99, 0.01, 0, 0]
    assert [suspect.index for suspect in suspects(label, [run] * 3)] == [doubted[5]]


def test_runs_that_disagree_about_what_it_is_suspect_nothing():
    label = np.arange(200) % CLASSES
    runs = learnt(label, 3)
    for run, other in zip(runs, (1, 2, 3), strict=True):
        run[4] = np.eye(CLASSES)[other]
    assert suspects(label, runs) == ()


def test_networks_that_have_learnt_nothing_suspect_nothing():
    label = np.random.default_rng(2).integers(0, CLASSES, 300)
    collapsed = np.tile([0.4, 0.2, 0.2, 0.2], (300, 1))  # the first class for everything, and above its threshold
    assert suspects(label, [collapsed] * 3) == ()


def test_a_class_without_images_can_be_suggested():
    label = np.arange(90) % 3
    (run,) = learnt(label, 1)
    run[1] = [0, 0, 0.01, 0.99]
    assert [(suspect.index, suspect.suggested) for suspect in suspects(label, [run])] == [(1, 3)]


def test_mean_self_confidence_is_that_of_a_plain_mean():
    label = np.random.default_rng(4).integers(0, 3, 50)
    (run,) = learnt(label, 1)
    expected = [run[label == k, k].mean() for k in range(3)]
    assert self_confidence(label, run).tolist() == pytest.approx([*expected, 1.0])
