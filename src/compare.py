"""Compare finished runs, and write the table, the curves and the shared mistakes as files.

    python -m src.compare                                   the latest sweep
    python -m src.compare --sweep 1a2b3c4d                  another one, by the first digits of its id
    python -m src.compare --sweep 1a2b --sweep 9f8e         two together
    python -m src.compare --out figures --csv all.csv --json all.json
    python -m src.compare --json -                          as JSON alone; what is printed goes to the error stream

Exit status: 0; 1 where no run has finished yet; 2 for bad input.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from src.bad_input import BadInput
from src.comparison.records import Records, load_records
from src.runs.files import write_atomic
from src.runs.folder import MULTIRUN, Sweep
from src.runs.manifests import choose_sweeps

if TYPE_CHECKING:
    import pandas as pd

    from src.comparison.per_image import PerImage

STDOUT = Path("-")


@dataclass(frozen=True)
class Comparison:
    """What was compared; without a finished run there is no table."""

    sweeps: tuple[Sweep, ...]
    records: Records
    frame: "pd.DataFrame | None" = None
    images: "tuple[PerImage, ...]" = ()

    def as_json(self) -> dict[str, Any]:
        """Everything printed, as JSON."""
        from src.comparison.table import SELECTION_RULE, json_content, notes

        assert self.frame is not None
        return {
            "sweeps": [sweep.id for sweep in self.sweeps],
            "rule": SELECTION_RULE,
            "notes": notes(self.records, self.frame),
            "cells": json_content(self.frame),
            "unfinished": [vars(job) for job in self.records.unfinished],
            "images": [group.as_json() for group in self.images],
        }


def main() -> None:
    """Run the command."""
    arguments = _parser().parse_args()
    try:
        sys.exit(_run(arguments))
    except BadInput as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m src.compare",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sweep", metavar="ID", action="append", help="first digits of a sweep's id; may repeat")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where the files go (default: the sweep's folder)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything as JSON too; - for stdout")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the table as CSV here too; - for stdout")
    parser.add_argument("--multirun", metavar="DIR", type=Path, default=MULTIRUN, help="default: %(default)s")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    files = [path for path in (arguments.csv, arguments.json) if path is not None]
    _check_files(files)
    console = Console(stderr=STDOUT in files)
    sweeps = choose_sweeps(arguments.multirun, arguments.sweep or [])
    comparison = compare(sweeps, arguments.multirun, arguments.out or default_out(sweeps, arguments.multirun), console)
    if comparison.frame is None:
        return 1
    from src.comparison.table import csv_content

    if arguments.csv is not None:
        _write(arguments.csv, csv_content(comparison.frame))
    if arguments.json is not None:
        _write(arguments.json, (json.dumps(comparison.as_json(), indent=2, allow_nan=False) + "\n").encode())
    return 0


def _check_files(files: Sequence[Path]) -> None:
    """Refuse at once what the command could not write at its end."""
    if files.count(STDOUT) > 1:
        raise BadInput("--csv - and --json - would be mixed", "one of them")
    for path in files:
        try:
            folder = path.is_dir()
        except OSError as error:
            raise _unwritable(path, error) from error
        if folder:
            raise BadInput(f"{path} is a folder", "a file, or - for the standard output")


def default_out(sweeps: Sequence[Sweep], multirun: Path) -> Path:
    """The sweep's folder; for several a folder inside the first one's, whose own table stays what it is."""
    folder = sweeps[0].folder(multirun)
    others = [sweep.id[:8] for sweep in sweeps[1:]]
    return folder / f"with-{'-'.join(others)[:80]}" if others else folder


def compare(sweeps: Sequence[Sweep], multirun: Path, out: Path, console: Console) -> Comparison:
    """Print the comparison of the finished jobs and write `table.csv`, `curves.png` and the galleries into `out`.

    Raises:
        BadInput: where `out` cannot be written.
    """
    records = load_records(sweeps, multirun)
    if not records.cells:
        _say_unfinished(records, console)
        console.print("no run has finished yet: nothing to compare", highlight=False)
        return Comparison(tuple(sweeps), records)
    # Slow to import, and needed from here on alone.
    from src.comparison.figures import curves, png
    from src.comparison.per_image import per_image
    from src.comparison.table import as_frame, csv_content, print_table

    frame = as_frame(records)
    print_table(records, frame, console)
    _say_unfinished(records, console)
    written = {"table.csv": csv_content(frame), "curves.png": png(curves(records.cells))}
    groups = tuple(per_image(records))
    for group in groups:
        written |= _per_image(group, console, several=len(groups) > 1)
    for name, content in written.items():
        _write(out / name, content)
    console.print(f"written to {out}: {', '.join(written)}", highlight=False, markup=False, soft_wrap=True)
    return Comparison(tuple(sweeps), records, frame, groups)


def _say_unfinished(records: Records, console: Console) -> None:
    for job in records.unfinished:
        reason = " ".join(job.reason.split())
        console.print(f"not finished: {job.label}: {reason}", highlight=False, markup=False, soft_wrap=True)


def _per_image(group: "PerImage", console: Console, *, several: bool) -> dict[str, bytes]:
    """Tell of one dataset's images and return its galleries as files."""
    from src.comparison.galleries import picture_png

    console.print()
    if several:
        console.print(f"{group.data.name}, {group.source['digest'][:8]}:", highlight=False, markup=False)
    for line in group.sentences():
        console.print(line, highlight=False, markup=False)
    if len(group.runs) < 2:
        return {}  # a single run's own mistakes stand in its folder
    try:
        galleries = group.galleries()
    except BadInput as missing:
        console.print(f"no galleries: {str(missing).splitlines()[0]}", highlight=False, markup=False)
        return {}
    suffix = f"-{group.data.name}-{group.source['digest'][:8]}" if several else ""
    return {f"{name}{suffix}.png": picture_png(picture) for name, picture in galleries.items()}


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically; a link, a pipe or a device stays what it is and is written through."""
    try:
        if path == STDOUT:
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            with path.open("wb") as file:
                file.write(content)
        else:
            write_atomic(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be written: {error.strerror or error}")


if __name__ == "__main__":
    main()
