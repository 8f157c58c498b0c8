"""The runs that were trained in another environment than most are found."""

from dataclasses import replace

import pytest

from src.results.environments import environment_differences
from src.results.results import load_results
from tests.environments import write_environments

GPUS = {
    place: {"device": f"cuda:{place % 2}", "gpu": "H200", "execution": ("graph", "eager")[place % 2]}
    for place in range(6)
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({3: {"torch": "2.13.0"}}, "torch 2.13.0 instead of 2.14.0 (1 run)"),
        ({3: {"cpu": "Xeon"}, 4: {"cpu": "Xeon"}}, "cpu Xeon instead of EPYC (2 runs)"),
        ({3: {"MKL_CBWR": "COMPATIBLE"}}, "MKL_CBWR COMPATIBLE instead of not set (1 run)"),
        ({3: {"device": "cuda"}}, "device cuda instead of cpu (1 run)"),
        ({3: {"cpu capability": None}}, ""),  # older journals do not record it
        ({3: {"timm": "1.0.31"}}, ""),  # only this run's network comes from timm
        (
            {place: {"timm": "1.0.30" if place == 3 else "1.0.31"} for place in range(6)},
            "timm 1.0.30 instead of 1.0.31 (1 run)",
        ),
        (GPUS, ""),  # two GPUs of one model, and two ways to run steps that give the same bits
        (GPUS | {3: {"device": "cuda:1", "gpu": "L4"}}, "gpu L4 instead of H200 (1 run)"),
    ],
)
def test_the_differences_are_named_with_the_number_of_runs(world, six, changes, words):
    write_environments(world, six, changes)
    runs, differences = environment_differences(load_results([six], world.multirun))
    assert differences == words
    usual = GPUS if "gpu" in words else dict.fromkeys(range(6), changes.get(5))
    different = {place for place in changes if changes[place] != usual.get(place)} if words else set()
    assert runs == {f"gn s{place - 3}" for place in different}


def test_the_execution_counts_if_algorithms_need_not_be_deterministic(world):
    jobs = [world.finish(replace(world.configuration(seed=seed), nondeterministic=True), {}) for seed in range(3)]
    sweep = world.sweep(jobs)
    write_environments(world, sweep, {**GPUS, 1: GPUS[0], 2: GPUS[1]})
    runs, differences = environment_differences(load_results([sweep], world.multirun))
    assert (runs, differences) == ({"bn s2"}, "execution eager instead of graph (1 run)")
