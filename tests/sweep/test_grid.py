"""The grid composes each point as Hydra does, in a hundredth of the time."""

import shutil
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from src.bad_input import BadInput
from src.sweep.composer import to_config
from src.sweep.grid import Grid
from src.sweep.overrides import CONF, option_groups

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


# A user's own preset, which says what the shell could say.
MINE = """# @package _global_
epochs: ${threads}
seed: ???
seeds: 2
sweep:
  cells: [norm=gn, norm=ln]
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Iterator[Grid]:
    conf = shutil.copytree(CONF, tmp_path_factory.mktemp("grid") / "conf")
    (conf / "experiment/mine.yaml").write_text(MINE)
    with initialize_config_dir(str(conf), version_base="1.3"):
        made = Grid(GlobalHydra.instance().config_loader(), "config")
        yield made


def points(grid, *words, **params):
    return [point for point, _ in grid.asked(words, params).points()]


def by_hydra(point):
    return to_config(compose("config", [f"{name}={value}" for name, value in point.items()]))


@pytest.mark.parametrize("words", TYPED.values(), ids=TYPED)
def test_a_point_is_composed_as_hydra_does_it(grid, words):
    last = points(grid, *words)[-1]
    assert repr(grid.compose(last)) == repr(by_hydra(last))  # 0 and 0.0 are equal and not the same


TEXTS = ["'5'", '"1e-5"', "'a b'", "'null'", "null", "a/b", "7", "007", "true", "${norm.name}/x", "0.10", "1e5"]
NUMBERS = ["0", "-0.0", "1e-05", "1E-5", ".5", "5.", "1_000", "+3", "1e400", "-1", "1e5"]


def test_a_value_is_what_hydra_makes_of_it_however_it_is_written(grid):
    texts = ["data.root", "tracking.uri", "tracking.experiment", "device"]
    numbers = [
        *("norm.eps", "norm.momentum", "reg.l1", "reg.l2", "reg.dropout", "reg.label_smoothing"),
        *("optimizer.lr", "optimizer.beta1", "optimizer.beta2", "optimizer.eps", "schedule.warmup"),
    ]
    for start in range(0, len(TEXTS), len(texts)):
        point = dict(zip(texts, TEXTS[start:], strict=False)) | dict(zip(numbers, NUMBERS, strict=False))
        assert len(point) == len(texts) + len(NUMBERS)
        assert repr(grid.compose(point)) == repr(by_hydra(point))


@pytest.mark.parametrize("preset", option_groups()["experiment"])
def test_a_presets_point_is_composed_as_hydra_does_it(grid, preset):
    word = f"experiment={preset}"
    params = compose("config", [word], return_hydra_config=True).hydra.sweeper.params
    found = [point for point, _ in grid.asked([word, "reg.l2=1e-4"], params).points()]
    assert repr(grid.compose(found[-1])) == repr(by_hydra(found[-1]))
    for point in found:
        assert not {"seeds", "sweep.cells"} & point.keys()


def test_a_preset_whose_keys_refer_to_each_other_is_composed_whole(grid):
    point = {"experiment": "mine", "threads": "4", "seed": "1"}
    assert repr(grid.compose(point)) == repr(by_hydra(point))
    assert grid.compose(point).epochs == 4


def test_a_preset_may_say_itself_how_many_seeds_and_which_cells(grid):
    _, configs = grid.configs(grid.asked(["experiment=mine", "seed=0,1"], {}))
    assert [(config.norm.name, config.seed) for config in configs] == [("gn", 0), ("gn", 1), ("ln", 0), ("ln", 1)]
    assert all(config.seeds is None and config.sweep.cells == [] for config in configs)


def test_seeds_is_short_for_as_many_values_of_seed(grid):
    assert points(grid, "norm=bn,gn", "seeds=3") == points(grid, "norm=bn,gn", "seed=0,1,2")


def test_what_is_typed_of_the_seeds_wins_over_the_preset(grid):
    assert [point["seed"] for point in points(grid, "seeds=2", seed="range(5)")] == ["0", "1"]
    assert [point["seed"] for point in points(grid, "seed=7", seeds=5)] == ["7"]
    with pytest.raises(BadInput, match="given twice: seeds=5 and seed=7"):
        points(grid, seeds=5, seed=7)


def test_cells_are_crossed_with_the_rest(grid):
    found = points(grid, 'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]', "reg.l1=0,1e-5", "seeds=2")
    assert len(found) == 3 * 2 * 2
    assert {(point["norm"], point.get("norm.groups")) for point in found} == {("none", None), ("gn", "2"), ("gn", "4")}
    assert all(point.keys() <= {"norm", "norm.groups", "reg.l1", "seed"} for point in found)


def test_the_number_of_jobs_is_known_without_listing_them(grid):
    cells = 'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]'
    assert grid.asked([cells, "seeds=4000000000"], {}).number == 12_000_000_000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("norm=batchnrom", ["norm=batchnrom is not known; did you mean bn?", "write: norm=bn"]),
        ("norm=gn nrom.groups=2", ["nrom", "no section"]),
        ("norm=gn norm.groups=0", ["norm.groups=0", ">= 1"]),
        ("norm=gn norm.groups=3", ["does not divide", "norm.groups=2"]),
        ("norm=bn norm.groups=2", ["norm=bn does not read it", "norm=gn"]),
        ("norm=gn norm=ln", ["given twice"]),
        ("norm=", ["empty value in norm"]),
        ("norm", ["norm is not KEY=VALUE"]),
        ("norm=gn(", ["norm=gn("]),
        ("+norm=gn", ["norm is there already"]),
        ("device=cpu", ["device is no part of what a job is"]),
        ("tracking=none", ["tracking is no part of what a job is"]),
        ("experiment=norms", ["experiment is no part of what a job is"]),
        ("seeds=2", ["seeds is no part of what a job is"]),
        ("hydra.verbose=true", ["hydra.verbose is no part of what a job is"]),
        ("epochs=1 norm=gn", ["epochs is given", "and outside it, as epochs=2", "without epochs=2"]),
        ("", ["an empty line in sweep.cells"]),
        ("  ", ["an empty line in sweep.cells"]),
    ],
)
def test_a_line_of_cells_is_refused_like_typed_words(grid, line, words):
    with pytest.raises(BadInput) as refused:
        grid.configs(grid.asked([f'sweep.cells=["norm=none","{line}"]', "epochs=2"], {}))
    told = str(refused.value)
    assert len(told.splitlines()) <= 3
    for word in words if not line.strip() else [*words, f"in the cell {line!r}"]:
        assert word in told, told


def test_a_line_that_stands_twice_is_trained_once(grid):
    asked = grid.asked(['sweep.cells=["norm=gn","norm=gn norm.groups=4","norm=gn"]'], {})
    assert asked.number == 3
    assert len(grid.jobs(*grid.configs(asked))) == 1


def test_a_word_of_a_cell_may_hold_spaces_in_quotes_and_brackets(grid):
    line = "data=idx data.root='a b' norm=choice(bn, gn)"
    assert points(grid, f'sweep.cells=["{line}"]') == [
        {"data": "idx", "data.root": "'a b'", "norm": norm} for norm in ("bn", "gn")
    ]


def test_how_a_grid_is_asked_for_is_no_part_of_its_jobs(grid):
    (one,) = grid.jobs(*grid.configs(grid.asked(["seeds=1", 'sweep.cells=["norm=gn"]'], {})))
    (other,) = grid.jobs(*grid.configs(grid.asked(["seed=0", "norm=gn"], {})))
    assert one.key == other.key
    assert one.config == other.config
    assert one.config.seeds is None
    assert one.config.sweep.cells == []
