"""Whatever becomes of a command's output, the command goes on and its exit status stays that of the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
BEGIN = "import os, sys; from src.standard_streams import steady_output, write_result; steady_output();"


def shell(code: str, redirections: str = "", **variables: str) -> "subprocess.CompletedProcess[bytes]":
    """Run Python with redirections as a shell makes them; a command's first call comes before the code."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, BEGIN + code],
        cwd=PROJECT,
        env=os.environ | variables,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_the_number_and_the_words_of_a_closed_stream(tmp_path, redirections):
    file = tmp_path / "file"
    done = shell(f"f = open({str(file)!r}, 'w'); print('words'); print('words', file=sys.stderr)", redirections)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == b""
    assert b"Traceback" not in done.stdout + done.stderr


def test_a_full_disk_is_told_once_on_the_error_stream_and_ends_nothing():
    done = shell("[print('words', flush=True) for _ in range(3)]; sys.exit(7)", ">/dev/full")
    assert done.returncode == 7
    assert done.stderr.decode().splitlines() == [
        "normlab: standard output cannot be written and is dropped: No space left on device"
    ]
    assert shell("print('words'); print('words', file=sys.stderr); sys.exit(7)", ">/dev/full 2>&1").returncode == 7


def test_a_reader_that_goes_away_is_no_error():
    done = shell("[print('x' * 100_000) for _ in range(9)]; sys.exit(7)", "| head -c 1; exit 0")
    assert (done.stdout, done.stderr) == (b"x", b"")


def test_a_terminal_that_goes_away_ends_nothing():
    code = """
import pty
terminal, screen = pty.openpty()
os.dup2(screen, 1); os.close(screen); os.close(terminal)
print('words', flush=True)
sys.exit(7)
"""
    assert shell(code).returncode == 7


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_every_byte_arrives_where_another_program_has_made_the_pipe_non_blocking(unbuffered):
    code = "os.set_blocking(1, False); print('x' * 1_000_000)"
    done = shell(code, "| (sleep 0.3; wc -c)", PYTHONUNBUFFERED=unbuffered)
    assert int(done.stdout) == 1_000_001


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r", "ascii:strict"])
def test_characters_that_the_encoding_lacks_are_replaced(encoding):
    done = shell("print('0.5 ± 0.1'); print('±', file=sys.stderr)", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, b"0.5 ? 0.1\n")
    assert done.stderr == b"\\xb1\n"


@pytest.mark.parametrize(
    ("columns", "lines", "kept"), [("0", "0", []), ("1", "9", ["LINES"]), ("100", "", ["COLUMNS"])]
)
def test_a_screen_without_room_counts_as_unknown(columns, lines, kept):
    done = shell(
        "print(*(name for name in ('COLUMNS', 'LINES') if os.environ.get(name)))", COLUMNS=columns, LINES=lines
    )
    assert done.stdout.decode().split() == kept


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")]
)
def test_a_result_that_the_standard_output_does_not_take_is_an_error(redirection, reason):
    code = """
try:
    write_result(b'{}')
except OSError as error:
    sys.exit(f'refused: {error.strerror}')
"""
    done = shell(code, redirection)
    assert (done.returncode, done.stderr.decode().strip()) == (1, f"refused: {reason}")


def test_a_result_follows_the_words_that_were_printed_before_it():
    assert shell("print('words'); write_result(b'{}')").stdout == b"words\n{}"


def test_streams_that_belong_to_somebody_else_stay():
    done = shell("import io; sys.stdout = own = io.StringIO(); steady_output(); sys.exit(sys.stdout is not own)")
    assert done.returncode == 0
