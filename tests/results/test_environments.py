"""The runs that were trained in another environment than most are found."""

import pytest

from src.results.environments import environment_differences
from src.results.results import load_results
from tests.environments import write_environments


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
    ],
)
def test_the_differences_are_named_with_the_number_of_runs(world, six, changes, words):
    write_environments(world, six, changes)
    runs, differences = environment_differences(load_results([six], world.multirun))
    assert differences == words
    different = {place for place in changes if changes[place] != changes.get(5)} if words else set()
    assert runs == {f"gn s{position - 3}" for position in different}
