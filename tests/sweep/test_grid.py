"""The grid composes each combination as Hydra does, in a hundredth of the time."""

import shutil
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from src.bad_input import BadInput
from src.sweep.grid import Grid
from src.sweep.overrides import CONF_FOLDER, group_options
from src.sweep.trees import to_config

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
    (conf / "experiment/auto.yaml").write_text("# @package _global_\nseeds: auto\n")
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield Grid(GlobalHydra.instance().config_loader(), "config")


def combinations(grid, *words, **params):
    return [combination for combination, _ in grid.parse_request(words, params).combinations()]


def params_of(preset):
    return OmegaConf.load(CONF_FOLDER / f"experiment/{preset}.yaml").hydra.sweeper.params


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


@pytest.mark.parametrize("preset", group_options()["experiment"])
def test_a_preset_is_composed_as_by_hydra(grid, preset):
    words = [f"experiment={preset}", "reg.l2=1e-4"]
    expanded = [combination for combination, _ in grid.parse_request(words, params_of(preset)).combinations()]
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


@pytest.mark.parametrize(("typed", "norms"), [((), ["bn"]), (("norm=gn",), ["gn"]), (("norm=gn,ln",), ["gn", "ln"])])
def test_the_preset_for_variance_changes_one_source_or_all_three(grid, typed, norms):
    words = ["experiment=variance", *typed]
    _, configs = grid.compose_all(grid.parse_request(words, params_of("variance")))
    for norm in norms:
        of_norm = [config for config in configs if config.norm.name == norm]
        seeds = [(config.init_seed, config.order_seed, config.data.split_seed) for config in of_norm]
        ten = range(1, 11)
        alone = [tuple(seed * (place == source) for place in range(3)) for source in range(3) for seed in ten]
        assert seeds == [*alone, *((seed, seed, seed) for seed in ten)]
    assert len(configs) == 40 * len(norms)


def test_seeds_abbreviates_a_range_of_seed(grid):
    assert combinations(grid, "norm=bn,gn", "seeds=3") == combinations(grid, "norm=bn,gn", "seed=0,1,2")


def test_typed_seeds_replace_those_of_the_preset(grid):
    assert [combination["seed"] for combination in combinations(grid, "seeds=2", seed="range(5)")] == ["0", "1"]
    assert [combination["seed"] for combination in combinations(grid, "seed=7", seeds=5)] == ["7"]
    with pytest.raises(BadInput, match="given twice: seeds=5 and seed=7"):
        combinations(grid, seeds=5, seed=7)


@pytest.mark.parametrize("words", [["seeds=auto", "compare.looks=[2,4]"], ["compare.looks=[2,4]", "experiment=auto"]])
def test_seeds_auto_requests_the_seeds_of_the_last_look(grid, words):
    request = grid.parse_request(["norm=bn,gn", *words], {})
    assert request.looks == (2, 4)
    assert {combination["seed"] for combination, _ in request.combinations()} == {"0", "1", "2", "3"}
    assert {config.seeds for config in grid.compose_all(request)[1]} == {None}
    assert grid.parse_request([*words[1:], "seed=7"], {}).looks == ()
    assert grid.parse_request(["seeds=3", *words[1:]], {"seeds": "auto"}).looks == ()


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
        ("norm=bn norm.groups=2", ["norm=bn does not use norm.groups=2", "norm=gn"]),
        ("norm=gn norm=ln", ["given twice"]),
        ("norm=", ["norm cannot be empty"]),
        ("norm", ["norm is not of the form KEY=VALUE"]),
        ("norm=gn(", ["norm=gn("]),
        ("+norm=gn", ["norm already exists"]),
        ("device=cpu", ["device applies to the whole command"]),
        ("tracking=none", ["tracking applies to the whole command"]),
        ("experiment=norms", ["experiment applies to the whole command"]),
        ("seeds=2", ["seeds applies to the whole command"]),
        ("hydra.verbose=true", ["hydra.verbose applies to the whole command"]),
        ("epochs=1 norm=gn", ["epochs is given twice", "and outside it as epochs=2", "without epochs=2"]),
        ("", ["has an empty entry"]),
        ("  ", ["has an empty entry"]),
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


def test_a_norm_that_one_layer_cannot_use_is_refused_before_any_job_starts(grid):
    pytest.importorskip("timm", reason="pip install 'normlab[timm]'")
    words = ["model=timm", "model.arch=test_resnet", "data=synthetic", "data.size=32", "norm=bn,in"]
    found = combinations(grid, *words)
    with pytest.raises(BadInput, match=r"norm=in does not work with layer layer4\.0\.bn1"):
        grid.make_jobs(found, [grid.compose(combination) for combination in found])
