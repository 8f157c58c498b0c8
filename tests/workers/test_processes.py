import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from src.progress import Progress, Update
from src.runs.ending import exit_reason, failure_reason, last_record
from src.runs.journal import Journal, stamp
from src.training.history import History
from src.workers.board import Board
from src.workers.places import divide
from src.workers.policy import Policy
from src.workers.processes import Outcome, Task
from tests.world import configuration


def task(name: str, folder: str = "") -> Task:
    return Task(name, configuration(), Path(folder or name))


def failed(error: str) -> Outcome:
    return Outcome(task("bn s0"), error)


def policy(on_failure: str = "continue", same_failures: int = 3) -> Policy:
    config = configuration()
    config.sweep.on_failure, config.sweep.same_failures = on_failure, same_failures
    return Policy(config.sweep)


def test_failures_of_different_causes_end_no_sweep():
    causes = ["Diverged: in epoch 1", "its process was ended by SIGSEGV", "OSError: no space", "", ""]
    going = policy()
    assert all(going.go_on(failed(error)) for error in causes)
    assert going.reason == ""


def test_the_same_cause_again_and_again_ends_it_whatever_the_numbers_in_it():
    going = policy()
    assert going.go_on(failed("Diverged: in epoch 1, step 7"))
    assert going.go_on(failed(""))
    assert going.go_on(failed("Diverged: in epoch 2, step 12"))
    assert not going.go_on(failed("Diverged: in epoch 13, step 4"))
    assert "3 jobs have failed alike" in going.reason
    assert not going.go_on(failed(""))


def test_one_failure_ends_it_where_that_is_asked_for():
    going = policy(on_failure="stop")
    assert going.go_on(failed(""))
    assert not going.go_on(failed("Diverged"))


@pytest.mark.parametrize(
    ("asked", "threads", "device", "visible", "expected"),
    [
        (None, 1, "cpu", None, [{}, {}, {}, {}]),
        (None, 2, "cpu", None, [{}, {}]),
        (None, 8, "auto", "", [{}]),
        (3, 1, "cpu", None, [{}, {}, {}]),
        (None, 1, "auto", "0,1", [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
        (None, 1, "auto", "MIG-a", [{"CUDA_VISIBLE_DEVICES": "MIG-a"}]),
        (3, 1, "cuda", "4,7", [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("4", "7", "4")]),
        (None, 1, "cuda:1", "0,1", [{}]),
        (None, 1, "cpu", "0,1", [{}, {}, {}, {}]),
        (None, 1, "mps", None, [{}]),
    ],
)
def test_the_machine_is_divided_by_gpus_or_else_by_cores_and_threads(
    monkeypatch, asked, threads, device, visible, expected
):
    monkeypatch.setattr("src.workers.places.cores", lambda: 4)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert divide(asked, threads, device) == expected


@pytest.mark.parametrize(
    ("code", "words"),
    [(-11, "SIGSEGV"), (-9, "SIGKILL, as the system does when memory"), (0, "0 and without"), (3, "3")],
)
def test_an_exit_status_is_told_in_words(code, words):
    assert words in exit_reason(code)


def test_a_process_that_dies_before_a_word_is_not_given_the_reason_of_an_earlier_end(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(stamp("start"))
        journal.append(stamp("stop", status="KILLED", error="KeyboardInterrupt"))
    assert failure_reason(tmp_path, "FAILED", "its process was ended by SIGKILL", None) == "KeyboardInterrupt"
    before = last_record(tmp_path)
    assert (
        failure_reason(tmp_path, "FAILED", "its process was ended by SIGKILL", before)
        == "its process was ended by SIGKILL"
    )
    assert last_record(tmp_path)["status"] == "FAILED"
    assert "SIGKILL" in (tmp_path / "train.log").read_text()


def test_without_a_terminal_each_epoch_is_a_line(capsys):
    with Board(1) as board:
        assert not board.live
        board.begin(task("bn s0"))
        board.report(task("bn s0"), Update(0.25, 1, 2, 0.5, 0.9, 1000))
        board.report(task("bn s0"), Update(0.5, 1, 2, 0.5, 0.9, 1000, "bn s0  epoch 1/2"))
        board.end(failed("Diverged: here"))
    assert capsys.readouterr().err.splitlines() == ["bn s0  epoch 1/2", "bn s0  FAILED: Diverged: here"]


def test_on_a_terminal_a_running_job_is_a_line_of_its_own():
    board, told = Board(3), Console(width=100, file=io.StringIO())
    board.begin(task("bn s0"))
    board.begin(task("gn s0"))
    board.report(task("bn s0"), Update(0.25, 1, 2, 0.5, 0.9, 12_345.6))
    told.print(board._render())
    bn, gn, rest = [line.split() for line in told.file.getvalue().splitlines()]
    assert [*bn[:2], *bn[3:]] == ["bn", "s0", "epoch", "1/2", "loss", "0.500", "acc", "0.900", "12,346", "img/s"]
    assert [*gn[:2], *gn[3:]] == ["gn", "s0", "starting"]
    assert " ".join(rest) == "0 of 3 jobs ended"


def test_a_job_that_goes_on_is_shown_where_it_is():
    told = list[Update]()
    progress = Progress("bn s0", epochs=5, steps=10, batch_size=100, listener=told.append, live=True)
    history = History(steps=10)
    history.append(torch.zeros(100, 10), torch.zeros(100, dtype=torch.int64), torch.zeros(()))
    progress._looked -= 10  # the last look is long ago
    progress.step(4, history)
    assert (told[0].epoch, told[0].done) == (4, pytest.approx(3.1 / 5))


def test_the_time_left_counts_only_what_this_command_has_done():
    board = Board(2)
    board._started -= 10  # seconds ago
    board.begin(task("bn s0"))
    board.report(task("bn s0"), Update(0.9, 10, 10, 0.5, 0.9, 1000))  # which begins at its last epoch
    assert board.seconds_left() is None
    board.end(failed("one epoch has taken ten seconds"))
    assert board.seconds_left() == pytest.approx(100, rel=0.1)


def test_jobs_whose_names_are_alike_have_a_line_each():
    board, told = Board(2), Console(width=100, file=io.StringIO())
    for folder in ("first", "second"):
        board.begin(task("gn s0", folder))
    board.report(task("gn s0", "first"), Update(0.5, 1, 2, 0.5, 0.9, 1000))
    told.print(board._render())
    assert told.file.getvalue().count("gn s0") == 2
