"""Writing what a comparison has made: files, or the standard output."""

from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.standard_streams import write_result
from src.storage.files import write_atomic

STDOUT = Path("-")


def check_outputs(named: dict[str, Path | None]) -> list[Path]:
    """Refuse at once a folder, and results that would be mixed; returns those that are asked for.

    Args:
        named: by option; None where it was not given.

    Raises:
        BadInput: for two results that would be mixed, or a folder.
    """
    files = {option: path for option, path in named.items() if path is not None}
    mixed = [f"{option} -" for option, path in files.items() if path == STDOUT]
    if len(mixed) > 1:
        raise BadInput(f"{' and '.join(mixed)} would be mixed", "one of them")
    for path in files.values():
        try:
            folder = path.is_dir()
        except OSError as error:
            raise _unwritable(path, error) from error
        if folder:
            raise BadInput(f"{path} is a folder", "a file, or - for the standard output")
    return list(files.values())


def write(path: Path, content: bytes) -> None:
    """Write a file atomically; a link, a pipe or a device stays what it is and is written through.

    Raises:
        BadInput: where it cannot be written.
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
        raise _unwritable(path, error) from error


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files by name into a folder."""
    for name, content in files.items():
        write(folder / name, content)


def stdout_is_among(files: Sequence[Path]) -> bool:
    """Whether a result goes to the standard output, so that nothing else may."""
    return STDOUT in files


def _unwritable(path: Path, error: OSError) -> BadInput:
    why = error.strerror or str(error)
    if path == STDOUT:
        return BadInput(
            f"the standard output cannot be written: {why}", "a file, or - for an open output", "--json FILE"
        )
    return BadInput(f"{path} cannot be written: {why}")
