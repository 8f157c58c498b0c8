"""A set of jobs asked for by one command, and the folder that it leaves: `multirun/sweeps/<id8>`."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from src.bad_input import BadInput
from src.runs.folder import JobFolder
from src.runs.naming import short_name
from src.runs.shapes import sweep_fault
from src.storage.files import remove_partial_files, write_json
from src.storage.stored import Damaged, parsed, read_stored, seal_fits, sealed

REPORT = "report.html"  # the comparison, whole
VERDICT = "verdict.txt"  # what the comparison has found, a sentence a line


@dataclass(frozen=True)
class PlannedJob:
    """A job of a sweep: the key that names it, its folder's name under `multirun/jobs`, and how it is shown.

    `cell` is the label without the seed; `params` are the leaves that vary in the sweep or differ from the defaults.
    """

    key: str
    folder: str
    label: str
    cell: str
    params: dict[str, str]

    def at(self, multirun: Path) -> JobFolder:
        """Its folder, whether it is there or not."""
        return JobFolder(multirun / "jobs" / self.folder)


@dataclass(frozen=True)
class Sweep:
    """A set of jobs that were asked for by one command."""

    id: str
    command: str  # that goes on with it
    started: int  # milliseconds since 1970, of the last time that it was asked for
    varies: list[str]  # dotted keys, the norm first and the seed last
    jobs: list[PlannedJob] = field(default_factory=list)

    @property
    def title(self) -> str:
        """A short name, such as `norm x l1 1a2b3c4d`: what varies, and the first digits of its id."""
        names = [short_name(path, self.varies) for path in self.varies]
        return f"{' x '.join(names) or self.jobs[0].label} {self.id[:8]}"

    def folder(self, multirun: Path) -> Path:
        """Where its manifest, table and figures stand."""
        return multirun / "sweeps" / self.id[:8]

    def write(self, multirun: Path) -> None:
        """Write the manifest."""
        folder = self.folder(multirun)
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial_files(folder, shared=True)  # the same sweep may have been started twice
        jobs = [vars(job) for job in self.jobs]
        write_json(folder / "manifest.json", sealed({**vars(self), "jobs": jobs}))


def read_sweep(manifest: Path) -> Sweep:
    """The sweep that a manifest describes.

    Raises:
        BadInput: where the file does not hold what a training command writes there, or cannot be read.
    """
    try:
        stored = parsed(read_stored(manifest))
        what = sweep_fault(stored) or ("" if seal_fits(stored) else "is damaged")
    except Damaged as damaged:
        what = damaged.what
    except ValueError:
        what = "is no JSON"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    if what:
        raise BadInput(
            f"{manifest} {what}",
            "what the training command wrote; --sweep ID names another sweep",
            "the same training command again: it writes the file anew and skips the finished runs",
        )
    jobs = [PlannedJob(**_known(job, PlannedJob)) for job in stored["jobs"]]
    return Sweep(**{**_known(stored, Sweep), "jobs": jobs})


def _known(stored: dict[str, Any], kind: type[Sweep] | type[PlannedJob]) -> dict[str, Any]:
    """The fields that this version has; a later one may write more."""
    names = {item.name for item in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}
