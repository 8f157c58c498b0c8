"""A long wait is shown on a terminal, and nowhere else; a time is told in words."""

import io
import time

import pytest

from src import console


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def slowly(items):
    for item in console.progress_bar(items, "reading"):
        time.sleep(0.05)
        yield item


def test_a_wait_that_takes_long_has_a_bar(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(console, "SHOW_AFTER", 0.1)
    assert list(slowly(range(10))) == list(range(10))
    assert "reading" in screen.getvalue()


def test_a_short_one_has_none(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    assert list(slowly(range(3))) == [0, 1, 2]
    assert "reading" not in screen.getvalue()


def test_without_a_terminal_nothing_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(console, "SHOW_AFTER", 0.0)
    assert list(slowly(range(3))) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.6, "1 min"), (65, "1 min 5 s"), (3600, "1 h"), (7265, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_a_time_is_told_in_its_two_largest_units(seconds, words):
    assert console.in_words(seconds) == words
