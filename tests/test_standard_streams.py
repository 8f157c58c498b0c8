"""A command that loses its output still finishes, with the exit status of its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
BEGIN = "import os, sys; from src.standard_streams import make_output_steady, write_result; make_output_steady();"


def shell(code: str, redirections: str = "", **variables: str) -> "subprocess.CompletedProcess[bytes]":
    """Run Python code after `make_output_steady`, with the redirections of a shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, BEGIN + code],
        cwd=PROJECT,
        env=os.environ | variables,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_file_never_receives_the_output_of_a_closed_stream(tmp_path, redirections):
    file = tmp_path / "file"
    done = shell(f"f = open({str(file)!r}, 'w'); print('words'); print('words', file=sys.stderr)", redirections)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == b""
    assert b"Traceback" not in done.stdout + done.stderr


def test_a_full_disk_is_reported_once_and_does_not_end_the_command():
    done = shell("[print('words', flush=True) for _ in range(3)]; sys.exit(7)", ">/dev/full")
    assert done.returncode == 7
    assert done.stderr.decode().splitlines() == [
        "normlab: standard output cannot be written, so its text is lost: No space left on device"
    ]
    assert shell("print('words'); print('words', file=sys.stderr); sys.exit(7)", ">/dev/full 2>&1").returncode == 7


def test_a_reader_may_quit():
    done = shell("[print('x' * 100_000) for _ in range(9)]; sys.exit(7)", "| head -c 1; exit 0")
    assert (done.stdout, done.stderr) == (b"x", b"")


def test_a_terminal_may_close():
    code = """
import pty
terminal, screen = pty.openpty()
os.dup2(screen, 1); os.close(screen); os.close(terminal)
print('words', flush=True)
sys.exit(7)
"""
    assert shell(code).returncode == 7


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_every_byte_arrives_on_a_non_blocking_pipe(unbuffered):
    code = "os.set_blocking(1, False); print('x' * 1_000_000)"
    done = shell(code, "| (sleep 0.3; wc -c)", PYTHONUNBUFFERED=unbuffered)
    assert int(done.stdout) == 1_000_001


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r", "ascii:strict"])
def test_a_character_outside_the_encoding_is_replaced(encoding):
    done = shell("print('0.5 ± 0.1'); print('±', file=sys.stderr)", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, b"0.5 ? 0.1\n")
    assert done.stderr == b"\\xb1\n"


@pytest.mark.parametrize(
    ("columns", "lines", "kept"), [("0", "0", []), ("1", "9", ["LINES"]), ("100", "", ["COLUMNS"])]
)
def test_a_terminal_that_is_too_small_counts_as_unknown(columns, lines, kept):
    done = shell(
        "print(*(name for name in ('COLUMNS', 'LINES') if os.environ.get(name)))", COLUMNS=columns, LINES=lines
    )
    assert done.stdout.decode().split() == kept


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")]
)
def test_a_result_that_cannot_be_written_raises(redirection, reason):
    code = """
try:
    write_result(b'{}')
except OSError as error:
    sys.exit(f'refused: {error.strerror}')
"""
    done = shell(code, redirection)
    assert (done.returncode, done.stderr.decode().strip()) == (1, f"refused: {reason}")


def test_a_result_follows_earlier_output():
    assert shell("print('words'); write_result(b'{}')").stdout == b"words\n{}"


def test_a_stream_that_another_program_has_replaced_stays():
    done = shell("import io; sys.stdout = own = io.StringIO(); make_output_steady(); sys.exit(sys.stdout is not own)")
    assert done.returncode == 0
