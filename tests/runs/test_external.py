import math

import pytest

from src.bad_input import BadInput
from src.runs.external import make_run, sort_into_cells
from src.runs.external_csv import read_csv_runs

ROWS = [
    *("norm,lr,groups,seed,accuracy", "bn,0.1,,0,0.98", "bn,0.1,,1,0.981", "bn,0.10,,2,"),
    *("gn,0.1,8,0,0.97", "gn,0.1,8,1,nan", "gn,0.1,8,2.0,inf", "", "gn,0.01,8,0,0.96", "gn,0.01,8,1,0.965"),
]


def write(folder, rows=ROWS, **how):
    path = folder / "runs.csv"
    path.write_text("\n".join(rows) + "\n", **{"encoding": "utf-8"} | how)
    return path


def sorted_runs(folder, rows=ROWS, factors=(), **options):
    runs = read_csv_runs(write(folder, rows), "accuracy", "seed")
    return sort_into_cells("runs.csv", "accuracy", "seed", runs, factors, **options)


def refusal_of(call, *arguments, **options):
    with pytest.raises(BadInput) as refused:
        call(*arguments, **options)
    message = str(refused.value)
    assert len(message.splitlines()) <= 3
    return message


def test_each_row_is_a_run_with_its_metric_seed_and_settings(tmp_path):
    runs = read_csv_runs(write(tmp_path), "accuracy", "seed")
    assert [run.name for run in runs] == [f"line {line}" for line in (2, 3, 4, 5, 6, 7, 9, 10)]
    assert [run.value for run in runs if not math.isnan(run.value)] == [0.98, 0.981, 0.97, 0.96, 0.965]
    assert [run.seed for run in runs] == ["0", "1", "2", "0", "1", "2", "0", "1"]
    assert runs[0].settings == {"norm": "bn", "lr": "0.1"}


def test_settings_that_vary_distinguish_the_cells_and_a_setting_that_the_norm_implies_does_not(tmp_path):
    external = sorted_runs(tmp_path)
    assert external.factors == ("norm", "lr")
    assert external.cells == [*["bn lr=0.1"] * 3, *["gn lr=0.1"] * 3, *["gn lr=0.01"] * 2]
    assert external.levels[2] == ("bn", 0.1)  # 0.10 is 0.1


def test_a_setting_that_only_some_runs_of_a_method_have_distinguishes_cells(tmp_path):
    rows = ["norm,dropout,seed,accuracy", *(f"bn,{rate},{seed},0.9{seed}" for rate in ("", "0.5") for seed in (0, 1))]
    external = sorted_runs(tmp_path, rows)
    assert external.factors == ("dropout",)
    assert {*external.levels} == {(None,), (0.5,)}


def test_only_the_named_factors_distinguish_cells(tmp_path):
    rows = ["norm,minutes,seed,accuracy", *(f"{norm},{n}.5,{seed},0.9" for n, (norm, seed) in enumerate(PAIRS))]
    assert {*sorted_runs(tmp_path, rows, ["norm"]).cells} == {"bn", "gn"}


PAIRS = [(norm, seed) for norm in ("bn", "gn") for seed in range(3)]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark_are_read(tmp_path, delimiter):
    path = write(tmp_path, [row.replace(",", delimiter) for row in ROWS], encoding="utf-8-sig")
    assert len(read_csv_runs(path, "accuracy", "seed")) == 8


def test_letters_that_a_terminal_obeys_are_left_out():
    run = make_run("line 2", 0.9, "a\x1b[31m", {"na\nme": "two,  words\x07, x y x z"})
    assert run.seed == "a[31m"
    assert run.settings == {"na me": "two, words,x y*z".replace(", ", ",")}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["norm,seed,acc", "bn,0,1"], ["no column accuracy", "norm, seed, acc", "--metric acc"]),
        (["norm,run,accuracy", "bn,0,1"], ["no column seed", "--by"]),
        (["seed,seed,accuracy", "1,0,1"], ["two columns named seed"]),
        ([*ROWS[:2], "bn,0.1,,1,98.1 %"], ["line 3", "accuracy is 98.1 %", "a number"]),
        ([*ROWS[:2], "bn,0.1,,1,1_0"], ["line 3", "accuracy is 1_0"]),
        ([*ROWS[:2], "bn,0.1,1,0.9"], ["line 3", "4 fields, but 5 column names"]),
        ([*ROWS[:2], "bn,0.1,,,0.9"], ["line 3", "seed is empty"]),
        ([*ROWS[:2], 'bn,"0.1,,1,0.9'], ["line 3", "unexpected end of data"]),
        (ROWS[:1], ["no row below its column names"]),
        ([], ["no column accuracy"]),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_the_line(tmp_path, rows, words):
    message = refusal_of(read_csv_runs, write(tmp_path, rows), "accuracy", "seed")
    assert all(word in message for word in words), message


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert "there is no file" in refusal_of(read_csv_runs, tmp_path / "none.csv", "accuracy", "seed")
    assert "not a regular file" in refusal_of(read_csv_runs, tmp_path, "accuracy", "seed")
    path = write(tmp_path, ["norm,seed,accuracy", "größe,0,1"], encoding="latin-1")
    assert "not UTF-8 text" in refusal_of(read_csv_runs, path, "accuracy", "seed")


@pytest.mark.parametrize(
    ("rows", "factors", "words"),
    [
        ([*ROWS, "bn,0.1,,1.0,0.5"], (), ["line 3 and line 11 both have seed=1 in the cell bn lr=0.1"]),
        (ROWS, ["norm"], ["line 5 and line 9 both have seed=0", "differ in lr", "--factors norm,lr"]),
        (ROWS, ["optimizer"], ["no settings named optimizer", "norm, lr, groups"]),
        (ROWS[:4], (), ["all 3 runs in runs.csv have the same settings"]),
        (ROWS, ["groups"], ["line 5 and line 9 both have seed=0 in the cell groups=8"]),
        (["norm,seed,accuracy", "bn,0,", "gn,0,nan"], (), ["no run in runs.csv has a value of accuracy"]),
        (["norm,seed,accuracy", "bn,0,0.98", "gn,0,0.97"], (), ["each cell has one seed", "0.98 (bn)", "2 different"]),
        (
            ["norm,s,seed,accuracy", *(f"{norm},{n},{seed},0.9{n}" for n, (norm, seed) in enumerate(PAIRS))],
            (),
            ["each cell has one seed", "0.95 (gn s=5)", "s differs in most runs", "--factors norm"],
        ),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(tmp_path, rows, factors, words):
    message = refusal_of(sorted_runs, tmp_path, rows, factors)
    assert all(word in message for word in words), message


def test_with_one_seed_the_lowest_loss_is_named(tmp_path):
    rows = ["norm,seed,accuracy", "bn,0,0.98", "gn,0,0.97"]
    assert "the lowest accuracy is 0.97 (gn)" in refusal_of(sorted_runs, tmp_path, rows, lower_is_better=True)
