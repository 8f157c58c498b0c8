"""Planted methods for which the claims of the presets are false; the older presets are in `test_claims.py`."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from safetensors.numpy import save_file

from src.runs.identity import job_settings
from src.sweep.grid import Grid
from src.sweep.overrides import CONF_FOLDER
from tests.sweep.test_papers import preset
from tests.verdict.test_claims import NO, YES, judge, noise, results_of, shipped

KEYS = (
    "norm.name",
    "norm.stats",
    "norm.chunk",
    "optimizer.name",
    "optimizer.lr",
    "data.batch_size",
    "data.label_noise",
)
KEYS += ("data.noise_seed", "reg.l1", "reg.l1_method", "reg.l2", "reg.weight_decay")


@pytest.fixture(scope="module")
def cells():
    """`cells("ghost_bn")` has the settings of each cell of a preset."""
    with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
        grid = Grid(GlobalHydra.instance().config_loader(), "config")

        @functools.cache
        def of(name):
            configs = grid.compose_all(grid.parse_request(["seeds=1"], preset(name)["params"]))[1]
            return [{key: value for key, value in job_settings(config).items() if key in KEYS} for config in configs]

        yield of


def outcomes(name, cells, error, **columns):
    """The outcomes of a preset's claims; `columns` are functions of a run that replace a column of the runs."""
    results = results_of(lambda settings, seed: error(settings) + noise(settings, seed, 0.01), cells(name))
    runs = results.runs.to_dict("records")
    new = {column.replace("__", "/"): [value(run) for run in runs] for column, value in columns.items()}
    return [item.outcome for item in judge(shipped(name), replace(results, runs=results.runs.assign(**new)))]


@pytest.mark.parametrize(
    ("gains", "frozen", "expected"),
    [
        ({2: 3, 128: 0}, -1, [YES, YES, YES]),
        ({2: 0, 128: 0}, -1, [NO, YES, YES]),  # precise keeps the running averages
        ({2: 3, 128: 2}, 3, [YES, NO, NO]),  # running averages that follow too slowly, and frozen does not freeze
    ],
)
def test_bn_statistics(cells, gains, frozen, expected):
    def error(settings):
        return 5 + frozen * (settings["norm.stats"] == "frozen")

    def averaged(run):
        return run["test/accuracy"] - gains[run["norm.chunk"]] / 100

    assert outcomes("bn_statistics", cells, error, test__accuracy_ema=averaged) == expected


@pytest.mark.parametrize(
    ("large", "ghost", "expected"),
    [
        (3, 1, [YES, YES]),
        (3, 3, [YES, NO]),  # ghost ignores the chunk
        (0, 0, [NO, NO]),  # the batch size changes nothing
    ],
)
def test_ghost_bn(cells, large, ghost, expected):
    def error(settings):
        small = settings["data.batch_size"] == 128
        return 1 + (0 if small else ghost if settings["norm.name"] == "ghost" else large)

    assert outcomes("ghost_bn", cells, error) == expected


@pytest.mark.parametrize(
    ("test", "training", "expected"),
    [
        ({0: 10, 0.5: 50, 1: 90}, {0: 0, 0.5: 0, 1: 0.5}, [YES, YES, YES, YES]),
        ({0: 10, 0.5: 10, 1: 10}, {0: 0, 0.5: 0, 1: 0}, [YES, NO, YES, NO]),  # no label is random
        ({0: 30, 0.5: 60, 1: 90}, {0: 20, 0.5: 50, 1: 80}, [NO, YES, NO, YES]),  # a network that cannot memorise
    ],
)
def test_random_labels(cells, test, training, expected):
    results = results_of(lambda job, seed: test[job["data.label_noise"]] + noise(job, seed), cells("random_labels"))
    shares = results.runs.set_index("run")["data.label_noise"].map(training)
    epochs = results.epochs.assign(**{"train/accuracy": 1 - results.epochs["run"].map(shares) / 100})
    judged = judge(shipped("random_labels"), replace(results, epochs=epochs))
    assert [item.outcome for item in judged] == expected


@pytest.mark.parametrize(
    ("subgradient", "proximal", "loss", "expected"),
    [
        (0, lambda l1: 100 + 5 * math.log(l1), 0.1, [YES, YES, YES, YES]),
        (60, lambda l1: 0, 0.1, [NO, NO, NO, YES]),  # the methods are exchanged
        (0, lambda l1: 99, 80, [YES, NO, YES, NO]),  # the proximal step makes all weights zero
    ],
)
def test_l1_path(cells, tmp_path, subgradient, proximal, loss, expected):
    def folder(run):
        zeros = round(proximal(run["reg.l1"]) if run["reg.l1_method"] == "proximal" else subgradient)
        folder = tmp_path / str(zeros)
        folder.mkdir(exist_ok=True)
        save_file({"w": (np.arange(100) >= zeros)[None].astype(np.float32)}, folder / "weights.safetensors")
        return str(folder)

    def error(settings):
        return 2 + loss * (settings["reg.l1_method"] == "proximal")

    assert outcomes("l1_path", cells, error, folder=folder, parameters=lambda run: 100) == expected


@pytest.mark.parametrize(
    ("exponents", "expected"),
    [
        ({"bn": (1, 1), "none": (1, -1)}, [YES, YES]),
        ({"bn": (1, -1), "none": (1, -1)}, [NO, NO]),  # bn does nothing
    ],
)
def test_effective_lr(cells, exponents, expected):
    def error(settings):
        lr, l2 = exponents[settings["norm.name"]]
        return 10 + lr * math.log2(settings["optimizer.lr"]) + l2 * math.log2(settings["reg.l2"])

    assert outcomes("effective_lr", cells, error) == expected


@pytest.mark.parametrize(
    ("decoupled", "l2", "expected"),
    [
        (0, -1, [YES, YES]),
        (-1, -1, [NO, YES]),  # the decay is multiplied by the learning rate twice
        (0, 0, [YES, NO]),  # L2 is decoupled
    ],
)
def test_adamw(cells, decoupled, l2, expected):
    def error(settings):
        steps = math.log2(settings["optimizer.lr"] / 0.002)  # -2 to 2
        if settings["optimizer.name"] == "adamw":
            strength = math.log(settings["optimizer.lr"] * settings["reg.weight_decay"] / 4e-3, 4)  # -2 to 2
            return 10 + (strength - decoupled * steps) ** 2
        return 10 + (math.log(settings["reg.l2"] / 6.4e-3, 8) - l2 * steps) ** 2

    assert outcomes("adamw", cells, error) == expected


@pytest.mark.parametrize(
    ("derf", "dyt", "expected"),
    [
        (0.6, 0, [YES, YES]),
        (0, 0, [NO, YES]),  # derf is RMSNorm
        (0.6, 0.6, [YES, NO]),  # all bounded functions lose under muon
    ],
)
def test_norm_x_optimizer(cells, derf, dyt, expected):
    def loss(run):
        under_muon = run["optimizer.name"] == "muon"
        return 1.5 - run["test/accuracy"] + under_muon * {"derf": derf, "dyt": dyt}.get(run["norm.name"], 0)

    assert outcomes("norm_x_optimizer", cells, lambda settings: 5, test__loss=loss) == expected
