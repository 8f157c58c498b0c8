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


def test_a_terminal_shows_a_bar_after_a_while(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    assert list(slowly(range(3))) == [0, 1, 2]
    assert "reading" not in screen.getvalue()
    monkeypatch.setattr(console, "BAR_DELAY", 0.1)
    assert list(slowly(range(10))) == list(range(10))
    assert "reading" in screen.getvalue()


def test_without_a_terminal_there_is_no_bar(monkeypatch, capsys):
    monkeypatch.setattr(console, "BAR_DELAY", 0.0)
    assert list(slowly(range(3))) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.6, "1 min"), (65, "1 min 5 s"), (3600, "1 h"), (7265, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_a_duration_has_at_most_two_units(seconds, words):
    assert console.duration_text(seconds) == words
