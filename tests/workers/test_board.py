import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from src.progress import Progress, Update
from src.training.history import History
from src.workers.board import Board
from src.workers.queue import Outcome, Task
from tests.world import configuration


def task(name: str, folder: str = "") -> Task:
    return Task(name, configuration(), Path(folder or name))


def rows(board: Board) -> list[list[str]]:
    """The words of each row that a terminal shows."""
    screen = Console(width=100, file=io.StringIO())
    screen.print(board._render())
    return [line.split() for line in screen.file.getvalue().splitlines()]


def test_without_a_terminal_each_epoch_is_a_line(capsys):
    with Board(1) as board:
        assert not board.live
        board.show_start(task("bn s0"))
        board.show_progress(task("bn s0"), Update(0.25, 1, 2, 0.5, 0.9, 1000))
        board.show_progress(task("bn s0"), Update(0.5, 1, 2, 0.5, 0.9, 1000, "epoch 1/2"))
        board.show_end(Outcome(task("bn s0"), "Diverged: here"))
    assert capsys.readouterr().err.splitlines() == ["bn s0  epoch 1/2", "bn s0  FAILED: Diverged: here"]


def test_on_a_terminal_each_running_job_is_a_row():
    board = Board(3)
    board.show_start(task("bn s0"))
    board.show_start(task("gn s0"))
    board.show_progress(task("bn s0"), Update(0.25, 1, 2, 0.5, 0.9, 12_345.6))
    bn, gn, rest = rows(board)
    assert [*bn[:2], *bn[3:]] == ["bn", "s0", "epoch", "1/2", "loss", "0.500", "acc", "0.900", "12,346", "img/s"]
    assert [*gn[:2], *gn[3:]] == ["gn", "s0", "starting"]
    assert " ".join(rest) == "0 of 3 jobs ended"


def test_a_row_names_its_gpu_if_there_are_several():
    board = Board(2)
    board.show_start(task("bn s0"), "GPU 0")
    board.show_start(task("gn s0"), "GPU 1")
    board.show_progress(task("gn s0"), Update(0.25, 1, 2, 0.5, 0.9, 12_345.6))
    assert [row[:4] for row in rows(board)[:2]] == [["bn", "s0", "GPU", "0"], ["gn", "s0", "GPU", "1"]]


def test_jobs_with_the_same_name_have_a_row_each():
    board = Board(2)
    for folder in ("first", "second"):
        board.show_start(task("gn s0", folder))
    board.show_progress(task("gn s0", "first"), Update(0.5, 1, 2, 0.5, 0.9, 1000))
    assert [row[:2] for row in rows(board)[:2]] == [["gn", "s0"]] * 2


def test_a_resumed_job_reports_its_whole_progress():
    updates = list[Update]()
    progress = Progress("bn s0", epochs=5, steps=10, batch_size=100, listener=updates.append, live=True)
    history = History(steps=10)
    history.append(torch.zeros(100, 10), torch.zeros(100, dtype=torch.int64), torch.zeros(()))
    progress._last_time -= 10  # seconds ago
    progress.step(4, history)
    assert (updates[0].epoch, updates[0].share_done) == (4, pytest.approx(3.1 / 5))


def test_the_time_left_follows_from_this_commands_work_alone():
    board = Board(2)
    board._start_time -= 10  # seconds ago
    board.show_start(task("bn s0"))
    board.show_progress(task("bn s0"), Update(0.9, 10, 10, 0.5, 0.9, 1000))  # a job that resumes in its last epoch
    assert board.seconds_left() is None
    board.show_end(Outcome(task("bn s0"), "its last epoch took ten seconds"))
    assert board.seconds_left() == pytest.approx(100, rel=0.1)
