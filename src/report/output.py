"""Writes results to files or to standard output."""

from pathlib import Path

from src.bad_input import BadInput
from src.standard_streams import write_result
from src.storage.files import write_atomic

STDOUT = Path("-")


def check_outputs(options: dict[str, Path | None]) -> list[Path]:
    """Return the files that were passed to the output options.

    Raises BadInput for a folder, or if two results would mix on standard output.
    """
    files = {option: path for option, path in options.items() if path is not None}
    stdout_options = [f"{option} -" for option, path in files.items() if path == STDOUT]
    if len(stdout_options) > 1:
        raise BadInput(f"{' and '.join(stdout_options)} would mix on standard output", "only one of them")
    for path in files.values():
        try:
            if path.is_dir():
                raise BadInput(f"{path} is a folder", "a file, or - for standard output")
        except OSError as error:
            raise _write_error(path, error) from error
    return list(files.values())


def write_output(path: Path, content: bytes) -> None:
    """Write a file atomically.  If the path is a link, pipe or device, write into it and do not replace it.

    Raises BadInput if the file cannot be written.
    """
    try:
        if path == STDOUT:
            write_result(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            with path.open("wb") as file:
                file.write(content)
        else:
            write_atomic(path, content)
    except OSError as error:
        raise _write_error(path, error) from error


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder.  `files` maps file names to contents."""
    for name, content in files.items():
        write_output(folder / name, content)


def _write_error(path: Path, error: OSError) -> BadInput:
    reason = error.strerror or str(error)
    if path == STDOUT:
        problem = f"standard output cannot be written: {reason}"
        return BadInput(problem, "a file, or - if standard output is open", "--json FILE")
    return BadInput(f"{path} cannot be written: {reason}")
