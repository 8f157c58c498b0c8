import shlex

import pytest

from src.runs.naming import job_name
from src.runs.seeds import seed_of, seeds_argument, without_seeds


@pytest.mark.parametrize(("seeds", "word"), [([0, 1, 2], "seeds=3"), ([0], "seeds=1"), ([1, 4], "seed=1,4")])
def test_a_word_requests_the_seeds(seeds, word):
    assert seeds_argument(seeds) == word


@pytest.mark.parametrize("seed", ["seed=7", "seed=0,1", "seed=range(0,5)", "seed=choice(1,2)"])
def test_a_command_loses_its_seeds_and_nothing_else(seed):
    cells = f'sweep.cells=["norm=gn {seed}","norm=bn data.split_seed=3"]'
    words = ["-m", seed, "seeds=3", "seeds=auto", "data.split_seed=1", cells]
    kept = ["-m", "data.split_seed=1", 'sweep.cells=["norm=gn","norm=bn data.split_seed=3"]']
    assert without_seeds(words) == kept
    assert without_seeds(shlex.split(shlex.join(words))) == kept


def test_a_job_name_ends_with_its_seed():
    assert seed_of(job_name({"norm.name": "gn", "reg.l1": 1e-5, "seed": 12}, ["reg.l1"])) == 12
