"""Reads and writes a sweep's manifest in `multirun/sweeps/<first 8 digits of the sweep's id>`."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from src.bad_input import BadInput
from src.runs.folder import JobFolder
from src.runs.identity import with_weight_decay
from src.runs.naming import short_name
from src.runs.paper import Paper
from src.runs.paper_schema import paper_fault, stored_paper
from src.runs.seeds import seed_of
from src.runs.shapes import sweep_fault
from src.schema import known_fields
from src.storage.files import remove_partial_files, write_json
from src.storage.stored import DamagedFile, read_sealed, sealed

REPORT = "report.html"
VERDICT = "verdict.txt"  # holds the conclusions of the comparison, one sentence a line
VERSION = 2  # of manifests; before version 2, `reg.l2` was the weight decay of AdamW


@dataclass(frozen=True)
class PlannedJob:
    """A job in the manifest of a sweep."""

    key: str
    folder: str  # the name of the job's folder in `multirun/jobs`
    label: str  # the job's name
    cell: str  # the name of the job's cell: the job's name without the seed
    params: dict[str, str]  # the values that vary in the sweep or differ from the defaults, by dotted key

    @property
    def seed(self) -> int:
        """The job's seed, with which its name ends."""
        return seed_of(self.label)

    def folder_in(self, multirun: Path) -> JobFolder:
        """Return the job's folder in a `multirun` folder; it may not exist."""
        return JobFolder(multirun / "jobs" / self.folder)


@dataclass(frozen=True)
class Sweep:
    """The set of jobs of one command."""

    id: str
    command: str  # the command that starts or resumes the sweep
    started: int  # the time of the latest launch, in milliseconds since 1970
    varies: list[str]  # the dotted keys that differ between its jobs, with the norm first and the seed last
    jobs: list[PlannedJob] = field(default_factory=list)
    paper: Paper | None = None  # the figure and the claims of `paper=NAME`
    version: int = VERSION

    @property
    def title(self) -> str:
        """The sweep's short name, such as `norm x l1 1a2b3c4d`: the keys that vary, and the first digits of the id."""
        names = [short_name(path, self.varies) for path in self.varies]
        return f"{' x '.join(names) or self.jobs[0].label} {self.id[:8]}"

    def folder(self, multirun: Path) -> Path:
        """Return the folder of the sweep's manifest, tables and figures."""
        return multirun / "sweeps" / self.id[:8]

    def write(self, multirun: Path) -> None:
        """Write the sweep's manifest."""
        folder = self.folder(multirun)
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial_files(folder, shared=True)  # another command may run the same sweep
        jobs = [vars(job) for job in self.jobs]
        stored = {**vars(self), "jobs": jobs}
        del stored["paper"]
        if self.paper is not None:
            stored["paper"] = {"name": self.paper.name, **self.paper.stated}
        write_json(folder / "manifest.json", sealed(stored))


def read_sweep(manifest: Path) -> Sweep:
    """Return the sweep in a manifest; raises BadInput if the manifest cannot be read or is damaged."""
    try:
        stored = read_sealed(manifest, lambda sweep: sweep_fault(sweep) or paper_fault(sweep.get("paper")))
    except (DamagedFile, OSError) as error:
        reason = error.reason if isinstance(error, DamagedFile) else f"cannot be read: {error.strerror}"
        raise BadInput(
            f"{manifest} {reason}",
            "the manifest that the training command wrote, or another sweep (--sweep ID)",
            advice="run the same training command again: it rewrites the manifest and skips finished jobs",
        ) from error
    jobs = [PlannedJob(**known_fields(PlannedJob, job)) for job in stored["jobs"]]
    paper = stored_paper(stored["paper"]) if stored.get("paper") else None
    sweep = Sweep(**{**known_fields(Sweep, stored), "jobs": jobs, "paper": paper, "version": VERSION})
    return sweep if stored.get("version") == VERSION else _with_weight_decay(sweep)


def _with_weight_decay(sweep: Sweep) -> Sweep:
    """Return a sweep of an earlier version, in which `reg.l2` was the weight decay of AdamW, in today's meaning."""
    old, new = "reg.l2", "reg.weight_decay"
    jobs = [replace(job, params=with_weight_decay(job.params)) for job in sweep.jobs]
    if not any(new in job.params for job in jobs):
        return sweep
    new_keys = [path for path in (old, new) if any(path in job.params for job in jobs)]
    for number, job in enumerate(jobs):
        label, cell = job.label, job.cell
        if new in job.params:
            label, cell = (name.replace(" l2=", " weight_decay=") for name in (label, cell))
        params = {**job.params, **{path: job.params.get(path, "0") for path in new_keys}}
        jobs[number] = replace(job, label=label, cell=cell, params=params)
    varies = [path for key in sweep.varies for path in (new_keys if key == old else [key])]
    return replace(sweep, varies=varies, jobs=jobs)
