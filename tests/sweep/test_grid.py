"""The grid composes each combination as Hydra does, in a hundredth of the time."""

import shutil
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from src.bad_input import BadInput
from src.sweep.composer import to_config
from src.sweep.grid import Grid
from src.sweep.overrides import CONF_FOLDER, option_groups

SIX = ["norm=bn,gn,ln", "reg.l1=0,1e-5"]
TYPED = {
    "the main line": SIX,
    "a choice with another's values": ["optimizer=sgd,adamw", "optimizer.lr=1,0.1", "schedule=step,constant"],
    "ranges": ["seed=range(2)", "reg.dropout=range(0,1,0.25)", "data.limit=null,100"],
    "flags": ["deterministic=true,false", "data.limit=null"],
    "a reference": ["tracking.experiment='${norm.name}-${seed}'", "norm=bn,gn", "seed=3,4"],
    "a number's reference": ["reg.l1=${optimizer.lr}", "data.batch_size=${epochs}", "optimizer.lr=0.1,0.2"],
    "a reference among others": ["reg.l1=0,${optimizer.lr}", "epochs=${threads}"],
    "cells": ["sweep.cells=['norm=none', 'norm=gn norm.groups=2,4', 'seed=7 regularization=l1']", "epochs=1,2"],
    "seeds": ["seeds=3", "norm=gn"],
}


# A user's own preset with keys that could also be typed.
MINE = """# @package _global_
epochs: ${threads}
seed: ???
seeds: 2
sweep:
  cells: [norm=gn, norm=ln]
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Iterator[Grid]:
    conf = shutil.copytree(CONF_FOLDER, tmp_path_factory.mktemp("grid") / "conf")
    (conf / "experiment/mine.yaml").write_text(MINE)
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield Grid(GlobalHydra.instance().config_loader(), "config")


def combinations(grid, *words, **params):
    return [combination for combination, _ in grid.parse_request(words, params).combinations()]


def by_hydra(combination):
    return to_config(compose("config", [f"{name}={value}" for name, value in combination.items()]))


@pytest.mark.parametrize("words", TYPED.values(), ids=TYPED)
def test_a_combination_is_composed_as_by_hydra(grid, words):
    last = combinations(grid, *words)[-1]
    assert repr(grid.compose(last)) == repr(by_hydra(last))  # 0 and 0.0 are equal and not the same


TEXTS = ["'5'", '"1e-5"', "'a b'", "'null'", "null", "a/b", "7", "007", "true", "${norm.name}/x", "0.10", "1e5"]
NUMBERS = ["0", "-0.0", "1e-05", "1E-5", ".5", "5.", "1_000", "+3", "1e400", "-1", "1e5"]


def test_a_value_in_any_notation_is_composed_as_by_hydra(grid):
    texts = ["data.root", "tracking.uri", "tracking.experiment", "device"]
    numbers = [
        *("norm.eps", "norm.momentum", "reg.l1", "reg.l2", "reg.dropout", "reg.label_smoothing"),
        *("optimizer.lr", "optimizer.beta1", "optimizer.beta2", "optimizer.eps", "schedule.warmup"),
    ]
    for start in range(0, len(TEXTS), len(texts)):
        combination = dict(zip(texts, TEXTS[start:], strict=False)) | dict(zip(numbers, NUMBERS, strict=False))
        assert len(combination) == len(texts) + len(NUMBERS)
        assert repr(grid.compose(combination)) == repr(by_hydra(combination))


@pytest.mark.parametrize("preset", option_groups()["experiment"])
def test_a_preset_is_composed_as_by_hydra(grid, preset):
    word = f"experiment={preset}"
    params = compose("config", [word], return_hydra_config=True).hydra.sweeper.params
    expanded = [combination for combination, _ in grid.parse_request([word, "reg.l2=1e-4"], params).combinations()]
    assert repr(grid.compose(expanded[-1])) == repr(by_hydra(expanded[-1]))
    for combination in expanded:
        assert not {"seeds", "sweep.cells"} & combination.keys()


def test_a_preset_with_references_between_keys_is_composed_as_by_hydra(grid):
    combination = {"experiment": "mine", "threads": "4", "seed": "1"}
    assert repr(grid.compose(combination)) == repr(by_hydra(combination))
    assert grid.compose(combination).epochs == 4


def test_a_preset_may_set_seeds_and_cells(grid):
    _, configs = grid.compose_all(grid.parse_request(["experiment=mine", "seed=0,1"], {}))
    assert [(config.norm.name, config.seed) for config in configs] == [("gn", 0), ("gn", 1), ("ln", 0), ("ln", 1)]
    assert all(config.seeds is None and config.sweep.cells == [] for config in configs)


def test_seeds_abbreviates_a_range_of_seed(grid):
    assert combinations(grid, "norm=bn,gn", "seeds=3") == combinations(grid, "norm=bn,gn", "seed=0,1,2")


def test_typed_seeds_replace_those_of_the_preset(grid):
    assert [combination["seed"] for combination in combinations(grid, "seeds=2", seed="range(5)")] == ["0", "1"]
    assert [combination["seed"] for combination in combinations(grid, "seed=7", seeds=5)] == ["7"]
    with pytest.raises(BadInput, match="given twice: seeds=5 and seed=7"):
        combinations(grid, seeds=5, seed=7)


def test_each_cell_is_combined_with_the_other_values(grid):
    expanded = combinations(grid, 'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]', "reg.l1=0,1e-5", "seeds=2")
    assert len(expanded) == 3 * 2 * 2
    assert {(combination["norm"], combination.get("norm.groups")) for combination in expanded} == {
        ("none", None),
        ("gn", "2"),
        ("gn", "4"),
    }
    assert all(combination.keys() <= {"norm", "norm.groups", "reg.l1", "seed"} for combination in expanded)


def test_combinations_are_counted_without_listing_them(grid):
    cells = 'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]'
    assert grid.parse_request([cells, "seeds=4000000000"], {}).combination_count == 12_000_000_000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("norm=batchnrom", ["norm=batchnrom is not known; did you mean bn?", "write: norm=bn"]),
        ("norm=gn nrom.groups=2", ["nrom", "no section"]),
        ("norm=gn norm.groups=0", ["norm.groups=0", ">= 1"]),
        ("norm=gn norm.groups=3", ["does not divide", "norm.groups=2"]),
        ("norm=bn norm.groups=2", ["norm=bn does not read it", "norm=gn"]),
        ("norm=gn norm=ln", ["given twice"]),
        ("norm=", ["norm cannot be empty"]),
        ("norm", ["norm is not KEY=VALUE"]),
        ("norm=gn(", ["norm=gn("]),
        ("+norm=gn", ["norm already exists"]),
        ("device=cpu", ["device is not a setting of a job"]),
        ("tracking=none", ["tracking is not a setting of a job"]),
        ("experiment=norms", ["experiment is not a setting of a job"]),
        ("seeds=2", ["seeds is not a setting of a job"]),
        ("hydra.verbose=true", ["hydra.verbose is not a setting of a job"]),
        ("epochs=1 norm=gn", ["epochs is given", "and outside it, as epochs=2", "without epochs=2"]),
        ("", ["contains an empty line"]),
        ("  ", ["contains an empty line"]),
    ],
)
def test_a_line_of_cells_is_refused_like_typed_words(grid, line, words):
    with pytest.raises(BadInput) as refused:
        grid.compose_all(grid.parse_request([f'sweep.cells=["norm=none","{line}"]', "epochs=2"], {}))
    message = str(refused.value)
    assert len(message.splitlines()) <= 3
    for word in words if not line.strip() else [*words, f"in the cell {line!r}"]:
        assert word in message, message


def test_a_repeated_line_is_trained_once(grid):
    request = grid.parse_request(['sweep.cells=["norm=gn","norm=gn norm.groups=4","norm=gn"]'], {})
    assert request.combination_count == 3
    assert len(grid.make_jobs(*grid.compose_all(request))) == 1


def test_quoted_and_bracketed_words_of_a_cell_may_hold_spaces(grid):
    line = "data=idx data.root='a b' norm=choice(bn, gn)"
    assert combinations(grid, f'sweep.cells=["{line}"]') == [
        {"data": "idx", "data.root": "'a b'", "norm": norm} for norm in ("bn", "gn")
    ]


def test_a_job_does_not_depend_on_how_its_grid_is_written(grid):
    (one,) = grid.make_jobs(*grid.compose_all(grid.parse_request(["seeds=1", 'sweep.cells=["norm=gn"]'], {})))
    (other,) = grid.make_jobs(*grid.compose_all(grid.parse_request(["seed=0", "norm=gn"], {})))
    assert one.key == other.key
    assert one.config == other.config
    assert one.config.seeds is None
    assert one.config.sweep.cells == []
