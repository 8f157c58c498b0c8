"""The ledger of looks: which comparisons are the same look, and what each look may spend."""

import json
import multiprocessing
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from src.bad_input import BadInput
from src.runs.looks import FILE, planned_shares, take_look
from src.storage.files import write_json
from src.storage.stored import sealed
from tests.unprivileged import refusal_without_privileges

CONTEXT = multiprocessing.get_context("fork")
PLANNED = (5, 10, 20)
BN, GN, LN = ("b" * 64, "c" * 64, "d" * 64)


def runs_of(cells, seeds):
    """The job keys of some seeds of some cells."""
    return [f"{cell} {seed}" for cell in cells for seed in range(seeds)]


def look(multirun, seeds, planned=(), cells=(BN, GN), finished=None):
    return take_look(multirun, finished or cells, runs_of(cells, seeds), seeds, planned)


def stored_looks(multirun):
    return json.loads((multirun / FILE).read_bytes())["looks"]


def test_each_look_at_the_same_methods_spends_95_percent_of_what_is_left(tmp_path):
    levels = [look(tmp_path, seeds).level for seeds in (5, 10, 20, 40)]
    assert levels == pytest.approx([0.0475, 0.002375, 0.00011875, 5.9375e-6])
    assert look(tmp_path, 41).number == 5


def test_the_same_runs_are_the_same_look_however_they_are_typed(tmp_path):
    first = look(tmp_path, 5)
    assert look(tmp_path, 10).number == 2
    before = (tmp_path / FILE).read_bytes()
    again = take_look(tmp_path, [GN, BN, BN], reversed(runs_of((GN, BN), 5)), 5)
    assert (again.number, again.level) == (first.number, first.level)
    assert (tmp_path / FILE).read_bytes() == before


def test_other_methods_have_looks_of_their_own(tmp_path):
    assert look(tmp_path, 5) == look(tmp_path, 5, cells=(BN, LN)) == look(tmp_path, 5, cells=(BN, GN, LN))


def test_one_seed_says_nothing_about_methods_and_spends_nothing(tmp_path):
    assert look(tmp_path, 1).number == 0
    assert not (tmp_path / FILE).exists()
    assert look(tmp_path, 5).level == pytest.approx(0.0475)


def test_planned_looks_divide_the_level_of_one_look(tmp_path):
    looks = [look(tmp_path, seeds, PLANNED) for seeds in PLANNED]
    assert [item.level / 0.0475 for item in looks] == pytest.approx([1 / 16, 3 / 16, 12 / 16])
    assert [item.next_level for item in looks] == pytest.approx([looks[1].level, looks[2].level, 0.002375])
    assert [item.number for item in looks] == [1, 2, 3]
    assert {item.planned for item in looks} == {PLANNED}
    assert look(tmp_path, 40).level == pytest.approx(0.002375)


def test_a_fixed_number_of_seeds_between_planned_looks_gets_what_the_plan_leaves(tmp_path):
    look(tmp_path, 5, PLANNED)
    assert look(tmp_path, 7).level == pytest.approx(0.002375)
    assert look(tmp_path, 10, PLANNED).level == pytest.approx(0.0475 * 3 / 16)
    assert look(tmp_path, 10) == look(tmp_path, 10, PLANNED)


def test_a_plan_after_a_fixed_number_of_seeds_divides_what_that_left(tmp_path):
    fixed = look(tmp_path, 5)
    looks = [look(tmp_path, seeds, PLANNED) for seeds in PLANNED]
    assert looks[0] == fixed  # the same runs
    assert [item.level for item in looks[1:]] == pytest.approx([0.002375 * 3 / 16, 0.002375 * 12 / 16])


@pytest.mark.parametrize("seed", range(8))
def test_all_looks_at_the_same_methods_spend_at_most_5_percent(tmp_path, seed):
    """Fixed and planned looks in any order, repeated, and on runs of which some have not finished."""
    chance = random.Random(seed)
    plans = [(), (), PLANNED, (2, 3), (5, 10, 20, 40)]
    spent: dict[tuple[str, ...], dict[tuple[tuple[str, ...], int], float]] = {}
    for _ in range(40):
        cells = chance.choice([(BN, GN), (BN, GN, LN)])
        planned = chance.choice(plans)
        seeds = chance.choice(planned or range(2, 30))
        finished = cells if chance.random() < 0.8 else (BN, GN)
        taken = look(tmp_path, seeds, planned, cells, finished)
        spent.setdefault(finished, {}).setdefault((cells, seeds), taken.level)
    assert all(sum(levels.values()) <= 0.05 for levels in spent.values())
    assert sum(map(len, spent.values())) == len(stored_looks(tmp_path))


def test_planned_looks_of_t_tests_find_a_false_difference_in_at_most_5_percent():
    sweeps = 20_000
    levels = [0.05 * share for share in planned_shares(PLANNED).values()]
    assert sum(levels) == pytest.approx(0.05)
    values = np.random.default_rng(1).standard_normal((sweeps, PLANNED[-1]))
    false = np.zeros(sweeps, dtype=bool)
    for seeds, level in zip(PLANNED, levels, strict=True):
        false |= stats.ttest_1samp(values[:, :seeds], 0, axis=1).pvalue < level
    assert 0.04 < false.mean() < 0.05  # 0.046 in 400,000 sweeps


def part_of(multirun, ended, cells=(BN, GN), seeds=5, planned=()):
    """A look at a sweep of which only the first `ended` jobs have ended."""
    return take_look(multirun, cells, runs_of(cells, seeds)[:ended], seeds, planned, complete=False)


def test_looks_at_an_unfinished_sweep_leave_its_level_untouched(tmp_path):
    levels = [part_of(tmp_path, ended).level for ended in (6, 7, 8, 9)]
    assert levels == pytest.approx([0.0475 * 0.05**number for number in (1, 2, 3, 4)])
    assert part_of(tmp_path, 6).level == levels[0]  # the same jobs again
    assert part_of(tmp_path, 6).next_level == pytest.approx(0.0475)
    assert look(tmp_path, 5).level == pytest.approx(0.0475)
    assert look(tmp_path, 10).level == pytest.approx(0.0475 * 0.05**5)


def test_a_run_that_is_lost_after_the_comparison_leaves_a_small_level(tmp_path):
    assert look(tmp_path, 5).level == pytest.approx(0.0475)
    assert part_of(tmp_path, 9).level == pytest.approx(0.002375)
    assert look(tmp_path, 5).level == pytest.approx(0.0475)


def test_an_unfinished_look_of_a_plan_is_a_design_of_its_own(tmp_path):
    assert part_of(tmp_path, 6, planned=PLANNED).level == pytest.approx(0.002375)
    assert look(tmp_path, 5, PLANNED).level == pytest.approx(0.0475 / 16)


def test_methods_without_a_run_give_no_fresh_level(tmp_path):
    """A comparison before the last method has a run sees fewer methods, which it has never compared before."""
    assert part_of(tmp_path, 4, cells=(BN, GN)).level == pytest.approx(0.002375)
    assert look(tmp_path, 5, cells=(BN, GN, LN)).level == pytest.approx(0.0475)


def take_many(multirun, first):
    for seeds in range(first, first + 20, 2):
        look(multirun, seeds)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_commands_at_once_lose_no_look(tmp_path):
    processes = [CONTEXT.Process(target=take_many, args=(tmp_path, first)) for first in (2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    looks = stored_looks(tmp_path)
    assert sorted(item["seeds"] for item in looks) == list(range(2, 22))
    assert [item["level"] for item in looks] == pytest.approx([0.0475 * 0.05**number for number in range(20)])
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_killed_writer_leaves_no_partial_file_behind(tmp_path):
    process = CONTEXT.Process(target=os._exit, args=(0,))
    process.start()
    process.join()
    (tmp_path / f".{FILE}.{process.pid}").write_text("half")
    look(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"[]", "is a list, not a JSON object"),
        (b"{}", "lacks looks"),
        (b'{"looks": [{}]}', "has a look that lacks cells"),
        ({"level": 2.0}, "has a look that has level=2.0"),
        ({"seeds": 1}, "has a look that has seeds=1"),
        ({"planned": [5, 3]}, "has a look that has planned=a list"),
        ({"cells": ["x"]}, "has a look that has cells=a list"),
        ({"time": 7}, "is damaged"),
    ],
)
def test_a_damaged_ledger_is_refused_by_name(tmp_path, content, reason):
    if isinstance(content, dict):
        look(tmp_path, 5)
        stored = json.loads((tmp_path / FILE).read_bytes())
        stored["looks"][0] |= content
        content = json.dumps(stored if content == {"time": 7} else sealed(stored)).encode()
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(BadInput) as refused:
        look(tmp_path, 10)
    problem, _, advice = str(refused.value).splitlines()
    assert problem.startswith(f"normlab: {tmp_path / FILE} {reason}")
    assert "restore it from a backup" in advice
    assert (tmp_path / FILE).read_bytes() == content


def test_a_later_version_may_add_fields(tmp_path):
    first = look(tmp_path, 5)
    stored = {**stored_looks(tmp_path)[0], "why": "new"}
    write_json(tmp_path / FILE, sealed({"looks": [stored], "version": 2}))
    assert look(tmp_path, 5) == first


def test_a_user_who_may_not_write_gets_the_look_that_would_have_been_stored(tmp_path):
    multirun = tmp_path / "multirun"
    multirun.mkdir()
    expected = look(multirun, 5).next_level
    before = (multirun / FILE).read_bytes()
    for folder in (multirun, *tmp_path.parents[:3], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o055)
    answer = refusal_without_privileges(
        "from pathlib import Path\nfrom src.runs.looks import take_look",
        f"sys.exit(str(take_look(Path({str(multirun)!r}), {[BN, GN]}, ['a', 'b'], 7)))",
    )
    assert answer.startswith(f"Look(number=2, level={expected}, planned=(), next_level=")
    assert (multirun / FILE).read_bytes() == before


def test_a_thousand_looks_are_stored_in_less_than_a_second(tmp_path):
    looks = [
        {"cells": [BN, GN], "runs": f"{k:064x}", "seeds": 5, "planned": [], "level": 0.0, "time": k}
        for k in range(1000)
    ]
    write_json(tmp_path / FILE, sealed({"looks": looks}))
    began = time.process_time()
    assert look(tmp_path, 5).number == 1001
    assert time.process_time() - began < 1
    assert Path(tmp_path / FILE).stat().st_size < 1e6
