"""Standard streams that never stop a command.

A disk fills up, a terminal closes, a reader such as `head` quits, or the shell closes a stream (`>&-`).  The command
then drops its output and keeps its exit status.
"""

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any

STDOUT_DESCRIPTOR, STDERR_DESCRIPTOR = 1, 2  # the file descriptors of stdout and stderr
MIN_TERMINAL_SIZE = {"COLUMNS": 20, "LINES": 1}  # a terminal with a smaller size counts as one of unknown size


class SteadyFile(io.FileIO):
    """A file descriptor that accepts every byte and drops the bytes that it cannot write."""

    def __init__(self, descriptor: int, error: OSError | None = None) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._error = error  # the latest error; a stream that the shell has closed starts with one

    def write(self, data: Any) -> int:
        """Write all bytes, or drop the bytes that cannot be written; returns the number of bytes in `data`."""
        try:
            self._write_all(data)
        except OSError as error:
            if self._error is None and self.fileno() == STDOUT_DESCRIPTOR and error.errno != errno.EPIPE:
                _report_lost_output(error)
            self._error = error
        return memoryview(data).nbytes

    def write_result(self, content: bytes) -> None:
        """Write all bytes of a result; raises OSError if the stream is closed or cannot take every byte."""
        if self._error is not None:
            raise self._error
        self._write_all(content)

    def _write_all(self, data: Any) -> None:
        unwritten = memoryview(data).cast("B")
        while unwritten:
            byte_count = super().write(unwritten)
            if byte_count is None:  # another program has made the terminal non-blocking
                select.select([], [self], [])
            else:
                unwritten = unwritten[byte_count:]


def make_output_steady() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that never raise.

    A character outside the encoding becomes `?` on stdout and an escape on stderr.  A stream that another program has
    replaced, for example in a notebook, stays unchanged.
    """
    closed_descriptors = _open_closed_descriptors()
    sys.stdout = _steady_stream(sys.stdout, STDOUT_DESCRIPTOR, closed_descriptors)
    sys.stderr = _steady_stream(sys.stderr, STDERR_DESCRIPTOR, closed_descriptors)
    for name, least_size in MIN_TERMINAL_SIZE.items():
        size = os.environ.get(name, "")
        if size.isdigit() and int(size) < least_size:
            del os.environ[name]


def write_result(content: bytes) -> None:
    """Write a result to the standard output; raises OSError if the output is closed or cannot take every byte."""
    sys.stdout.flush()
    raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    if isinstance(raw, SteadyFile):
        raw.write_result(content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()


def _open_closed_descriptors() -> set[int]:
    """Open /dev/null on closed standard descriptors, because the next opened file would otherwise get the output."""
    closed_descriptors = set()
    for descriptor in (0, STDOUT_DESCRIPTOR, STDERR_DESCRIPTOR):
        try:
            os.fstat(descriptor)
        except OSError:
            closed_descriptors.add(descriptor)
            null_descriptor = os.open(os.devnull, os.O_RDWR)
            if null_descriptor != descriptor:
                os.dup2(null_descriptor, descriptor)
                os.close(null_descriptor)
            os.set_inheritable(descriptor, True)
    return closed_descriptors


def _steady_stream(stream: Any, descriptor: int, closed_descriptors: set[int]) -> Any:
    if stream is not None:
        try:
            if stream.fileno() != descriptor:
                return stream
        except (OSError, ValueError, AttributeError):  # for example the stream of a notebook or a test
            return stream
    raw = SteadyFile(descriptor, OSError(errno.EBADF, "it is closed") if descriptor in closed_descriptors else None)
    unbuffered = getattr(stream, "write_through", False)  # true under `python -u`
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        getattr(stream, "encoding", "utf-8"),
        "replace" if descriptor == STDOUT_DESCRIPTOR else "backslashreplace",
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=unbuffered,
    )


def _report_lost_output(error: OSError) -> None:
    """Print on the error stream that the standard output is lost."""
    line = f"normlab: standard output cannot be written, so its text is lost: {error.strerror}\n"
    with contextlib.suppress(OSError):
        os.write(STDERR_DESCRIPTOR, line.encode())
