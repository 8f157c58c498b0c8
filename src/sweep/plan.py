"""The plan of a sweep: the status of its jobs, and the time and disk that unfinished jobs need. It changes nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from src.console import duration_text
from src.runs.folder import SUPERSEDED, JobFolder
from src.runs.identity import code_digest
from src.runs.integrity import job_faults
from src.runs.journal import last_epoch
from src.runs.known_folders import KnownFolders
from src.runs.naming import job_name, short_name
from src.runs.sweep import PlannedJob, Sweep
from src.storage.lock import is_locked
from src.storage.space import BYTES_PER_SWEEP, checkpoint_bytes, free_bytes, megabytes, nearest_folder
from src.sweep.grid import GridJob
from src.sweep.notes import warning_lines
from src.sweep.pace import job_kind, pace_estimator, pass_count, read_timings
from src.wording import counted, joined, shorten

MAX_ROWS = 20  # jobs or cells that the table lists
MOST_NAMES = 5  # jobs that a line of the summary names


class Status(NamedTuple):
    """The status of a job: to train, damaged, interrupted, failed, in training or finished."""

    kind: str  # the summary counts the jobs of each kind
    epochs: int  # finished epochs, which need no more training
    text: str  # shown to the user


TO_TRAIN = Status("to train", 0, "to train")


def job_status(job: JobFolder, epochs: int, code: str) -> Status:
    """Return the status of a job that has a folder. It trains `epochs` epochs; `code` is the current code's digest."""
    records = job.records()
    same_code = bool(records) and records[0].get("code") == code
    if job.finished:
        kind = "finished" if same_code else "finished with other code"
        return Status(kind, epochs, kind)
    epoch = last_epoch(records)
    progress = f"{epoch} of {epochs} epochs"
    if is_locked(job.path):
        return Status("in training", epoch, f"another process is training it ({progress} done)")
    if same_code and records[-1].get("status") == "FAILED":
        return Status("failed", epoch, f"failed after {progress}: {records[-1].get('error', '')}"[:160].rstrip(": "))
    if not epoch:
        return TO_TRAIN
    if same_code:
        return Status("interrupted", epoch, f"resumes after epoch {epoch} of {epochs}")
    return Status("to train", 0, f"to train: starts again, because other code trained {progress}")


@dataclass(frozen=True)
class Row:
    """A job of a plan, with its status and its expected cost."""

    job: PlannedJob
    grid_job: GridJob
    status: Status
    restarts: bool  # whether resume=restart retrains the job
    seconds: float | None  # expected training time for the remaining epochs; None if unknown
    similar: bool  # whether the estimate comes from similar jobs
    earlier_folder: JobFolder | None  # the folder of this job on an earlier version of its data

    def name(self, varying_keys: Sequence[str], *, seed: bool = True) -> str:
        """Return the job's name among the jobs of its sweep, which differ in `varying_keys`."""
        return job_name(self.grid_job.settings, varying_keys, seed=seed)

    @property
    def needs_training(self) -> bool:
        """Whether the job still needs training."""
        return self.restarts or not self.status.kind.startswith("finished")


class Plan:
    """The jobs of a sweep with their current status."""

    def __init__(
        self, sweep: Sweep, jobs: Sequence[GridJob], multirun: Path, faults: Mapping[str, str] | None = None
    ) -> None:
        """Read the status of all jobs. `faults` maps the keys of damaged jobs to reasons; None checks every folder."""
        self._sweep, self._multirun = sweep, multirun
        self._counts: dict[str, int] = {}  # the parameters of each network, by what determines them
        self._faults = job_faults(sweep, multirun) if faults is None else faults
        self._folders, self._code_digest = KnownFolders(multirun), code_digest()
        self._folder_names = set(self._folders.folder_names)
        self._estimate_pace = pace_estimator(read_timings(self._folders.jobs_folder, self._folders.folder_names))
        self.rows = [self._make_row(planned_job, job) for planned_job, job in zip(sweep.jobs, jobs, strict=True)]
        self._rows_left = [row for row in self.rows if row.needs_training]

    def _make_row(self, job: PlannedJob, grid_job: GridJob) -> Row:
        config = grid_job.config
        status, restarts = TO_TRAIN, config.resume == "restart"
        if fault := self._faults.get(job.key):
            status = Status("damaged", 0, f"damaged: {fault}")
        elif job.folder in self._folder_names:
            status = job_status(JobFolder(self._folders.jobs_folder / job.folder), config.epochs, self._code_digest)
        epochs = config.epochs if restarts else max(config.epochs - status.epochs, 0)
        pace, passes = self._estimate_pace(job_kind(grid_job.settings)), pass_count(grid_job.settings)
        seconds = pace.rate * grid_job.image_count * epochs * passes + pace.overhead if pace else None
        earlier_folder = self._folders.find_job_on_other_data(job, config)
        return Row(job, grid_job, status, restarts, seconds, bool(pace and pace.similar), earlier_folder)

    def summary_lines(self) -> list[str]:
        """Return the lines that every sweep prints first: the number of jobs, and damaged or otherwise unusual jobs."""
        finished_rows = [row for row in self.rows if row.status.kind.startswith("finished")]
        varied_keys = ", ".join(self._sweep.varies) or "none"
        jobs_text = (
            f"{counted(len(self.rows), 'job')} (varied keys: {varied_keys}), {len(finished_rows):,} already finished"
        )
        lines = [f"sweep {self._sweep.id[:8]}: {jobs_text}"]
        if settings := shared_settings(self._sweep):
            lines.append(f"{'all jobs' if len(self.rows) > 1 else 'the job'}: {settings}")
        for kind in ("damaged", "interrupted", "failed", "in training"):
            rows = [row for row in self.rows if row.status.kind == kind]
            if rows:
                descriptions = [
                    f"{row.name(self._sweep.varies)} ({row.status.text.removeprefix(f'{kind}: ')})" for row in rows
                ]
                lines.append(f"{kind}: {joined(descriptions, MOST_NAMES)}")
                if kind == "damaged":
                    lines.append(f"  normlab retrains them and moves their folders to {self._multirun / SUPERSEDED}")
        other_code = [row.name(self._sweep.varies) for row in finished_rows if row.status.kind != "finished"]
        if other_code:
            lines.append(f"finished with other code: {joined(other_code, MOST_NAMES)}; resume=restart retrains them")
        changed_data_lines = [
            f"the data in {row.grid_job.settings['data.root']} has changed since {row.earlier_folder.path.name} ended"
            for row in self.rows
            if row.earlier_folder
        ]
        lines += shorten(changed_data_lines, MOST_NAMES, "the data of {:,} more jobs has also changed")
        return lines + warning_lines([row.grid_job for row in self.rows])

    def table_lines(self) -> list[str]:
        """Return a line per job with its size and status; beyond `MAX_ROWS` jobs, a line per cell (all its seeds)."""
        cells: dict[str, list[Row]] = {}
        for row in self.rows:
            cells.setdefault(row.job.key if len(self.rows) <= MAX_ROWS else row.job.cell, []).append(row)
        lines = [("job", "parameters", "status")]
        for first_row, *other_rows in list(cells.values())[:MAX_ROWS]:
            name, text = first_row.name(self._sweep.varies), first_row.status.text
            if other_rows:
                counts = Counter(row.status.kind for row in (first_row, *other_rows))
                name = f"{first_row.name(self._sweep.varies, seed=False)}, {len(other_rows) + 1:,} seeds"
                text = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
            lines.append((name, f"{self._count_parameters(first_row):,}", text))
        name_width, size_width = (max(len(line[column]) for line in lines) for column in (0, 1))
        table = [f"  {name:<{name_width}}  {size:>{size_width}}  {text}".rstrip() for name, size, text in lines]
        if len(cells) > MAX_ROWS:
            table.append(f"  and {len(cells) - MAX_ROWS:,} more lines; the sweep has {len(self.rows):,} jobs in all")
        if any(row.restarts for row in self.rows):
            table.append("resume=restart moves the old folders away and retrains every job")
        return table

    def cost_lines(self, at_once: int = 1, gpus: str = "") -> list[str]:
        """Return the time and disk that unfinished jobs need, if `at_once` jobs train at the same time."""
        return [self.time_line(at_once, gpus), *([self._disk_line(at_once)] if self._rows_left else [])]

    def time_line(self, at_once: int, gpus: str) -> str:
        """Return the time that unfinished jobs need, if `at_once` jobs train at the same time.

        `gpus` names the GPUs, such as `1 GPU (NVIDIA H200)`; it is empty if jobs run on the CPU.
        """
        rows_left = self._rows_left
        if not rows_left:
            return "nothing left to train"
        total_time = _total_time(rows_left, at_once)
        at_once = min(at_once, len(rows_left))
        jobs_text = counted(len(rows_left), "job") + (f" on {gpus}" if gpus else "")
        if len(rows_left) > 1:
            jobs_text += f", {at_once} at once" if at_once > 1 else ", one after another"
        if not total_time:
            return f"time: unknown until the first job has finished{f'; {jobs_text}' if gpus else ''}"
        rough_count = sum(not row.similar for row in rows_left)
        text = f"time: about {total_time} for {jobs_text}, estimated from finished jobs"
        if rough_count:
            others = "another network, norm, augmentation or number of threads"
            text += f"; {counted(rough_count, 'estimate')} from jobs with {others}"
        return text

    def _disk_line(self, at_once: int) -> str:
        """Return the disk that the files of unfinished jobs need, with the checkpoints of `at_once` jobs."""
        sizes = [self._count_parameters(row) for row in self._rows_left]
        needed = BYTES_PER_SWEEP + sum(map(checkpoint_bytes, sorted(sizes)[-at_once:]))
        needed += sum(row.grid_job.disk_bytes(size) for row, size in zip(self._rows_left, sizes, strict=True))
        free_space = free_bytes(nearest_folder(self._multirun / "jobs"))
        return f"disk: about {megabytes(needed)}" + (
            f" of {megabytes(free_space)} free" if free_space is not None else ""
        )

    def _count_parameters(self, row: Row) -> int:
        """Return the number of parameters of a job's network; jobs with equal networks share one count."""
        from src.training.network import count_parameters  # imports torch, which is slow

        config, source = row.grid_job.config, row.grid_job.source
        key = repr((config.model, config.norm, source.channels, source.size, len(source.classes)))
        if key not in self._counts:
            self._counts[key] = count_parameters(config, source)
        return self._counts[key]


def shared_settings(sweep: Sweep) -> str:
    """Return the values that differ from the defaults in the same way in all jobs, such as `model=resnet epochs=2`."""
    first_job, *other_jobs = (job.params.items() for job in sweep.jobs)
    shared = [path for path, value in first_job if all((path, value) in other for other in other_jobs)]
    return " ".join(
        f"{short_name(path, shared)}={first_job.mapping[path]}"
        for path in shared
        if path not in ("norm.name", "seed", *sweep.varies)
    )


def _total_time(rows: Sequence[Row], at_once: int) -> str:
    """Return the expected time of jobs of which `at_once` train at the same time; an empty string if unknown."""
    seconds = [row.seconds for row in rows if row.seconds is not None]
    return duration_text(max(sum(seconds) / min(at_once, len(rows)), *seconds)) if seconds else ""
