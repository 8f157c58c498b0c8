"""The plan: what a command would do and what of it is there already, told before anything runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from src.config import Config
from src.console import in_words
from src.runs.folder import SUPERSEDED, JobFolder
from src.runs.identity import code_digest
from src.runs.integrity import job_faults
from src.runs.known_folders import KnownFolders
from src.runs.sweep import PlannedJob, Sweep
from src.storage.lock import is_owned
from src.storage.space import JOB, SWEEP, free_bytes, megabytes, nearest_folder
from src.sweep.grid import GridJob
from src.sweep.pace import Estimate, Pace, kind, seen_in

SHOWN = 20  # rows of the table
HARMED = "harmed"  # a file of a finished job cannot be used


@dataclass(frozen=True)
class State:
    """How far a job has come: a word to count by, the epochs that need no repeating, and what else there is to say."""

    word: str
    epochs: int = 0
    more: str = ""


@dataclass(frozen=True)
class Row:
    """A job, how far it has come, and how long the rest of it will take where that can be told."""

    job: PlannedJob
    point: GridJob
    state: State
    estimate: Estimate | None
    other: JobFolder | None  # its folder before the data changed

    @property
    def left(self) -> bool:
        """Whether it has still to be trained."""
        return not self.state.word.startswith("finished") or restarts(self.point.config)

    @property
    def text(self) -> str:
        """Its state in words."""
        return f"{self.state.word}{f': {self.state.more}' if self.state.more else ''}"


def restarts(config: Config) -> bool:
    """Whether what is there is set aside, and every job trained anew."""
    return config.resume == "restart"


class Plan:
    """The jobs of a sweep as they stand now; looks and changes nothing."""

    def __init__(
        self, sweep: Sweep, points: Sequence[GridJob], multirun: Path, faults: Mapping[str, str] | None = None
    ) -> None:
        """Args: what is known of the jobs whose folders are harmed, by key; else it is found out."""
        self._sweep, self._multirun = sweep, multirun
        self._faults = job_faults(sweep, multirun) if faults is None else faults
        self._known, self._code = KnownFolders(multirun), code_digest()
        self._names = set(self._known.names)
        self._pace = Pace(seen_in(self._known.jobs, self._known.names))
        self.rows = [self._row(job, point) for job, point in zip(sweep.jobs, points, strict=True)]

    def _row(self, job: PlannedJob, point: GridJob) -> Row:
        config = point.config
        state = State("to train")
        if what := self._faults.get(job.key):
            state = State(HARMED, 0, what)
        elif job.folder in self._names:
            state = state_of(JobFolder(self._known.jobs / job.folder), config.epochs, self._code)
        epochs = config.epochs if restarts(config) else config.epochs - state.epochs
        passes = point.images * max(epochs, 0)
        estimate = self._pace.estimate(kind(asdict(config)), passes)
        return Row(job, point, state, estimate, self._known.on_other_data(job, config))

    def summary(self) -> list[str]:
        """What is said before every sweep."""
        finished = [row for row in self.rows if row.state.word.startswith("finished")]
        varies = ", ".join(self._sweep.varies) or "nothing"
        head = (
            f"sweep {self._sweep.id[:8]}: {len(self.rows):,} jobs, varying {varies}; {len(finished):,} finished before"
        )
        said = [head]
        for word in (HARMED, "half done", "failed", "being trained"):
            found = [f"{row.job.label} ({row.state.more})" for row in self.rows if row.state.word == word]
            said += [f"{word}: {listed(found)}"] if found else []
            if word == HARMED and found:
                said.append(f"  their folders go to {self._multirun / SUPERSEDED}, and they are trained anew")
        edited = [row.job.label for row in finished if row.state.word != "finished"]
        if edited:
            said.append(f"trained by other code than stands here now: {listed(edited)}; resume=restart trains anew")
        moved = [
            f"{row.job.label}: the data in {row.point.leaves['data.root']} has changed since {row.other.path.name}"
            for row in self.rows
            if row.other
        ]
        return [*said, *moved[:5], *([f"and so for {len(moved) - 5} more"] if len(moved) > 5 else [])]

    def table(self) -> list[str]:
        """A line a job with its size and state; of many jobs, a line for all seeds of one cell."""
        from src.training.network import count_parameters  # imports torch, which only a dry run waits for

        cells: dict[str, list[Row]] = {}
        for row in self.rows:
            cells.setdefault(row.job.key if len(self.rows) <= SHOWN else row.job.cell, []).append(row)
        lines = [("job", "parameters", "state")]
        for rows in list(cells.values())[:SHOWN]:
            counts = Counter(row.state.word for row in rows)
            states = ", ".join(f"{number:,} {word}" for word, number in counts.items())
            one = len(rows) == 1
            lines.append(
                (
                    rows[0].job.label if one else f"{rows[0].job.cell}, {len(rows):,} seeds",
                    f"{count_parameters(rows[0].point.config, rows[0].point.source):,}",
                    rows[0].text if one else states,
                )
            )
        wide, middle = max(len(name) for name, _, _ in lines), max(len(size) for _, size, _ in lines)
        said = [f"  {name:<{wide}}  {size:>{middle}}  {state}".rstrip() for name, size, state in lines]
        if len(cells) > SHOWN:
            said.append(f"  and {len(cells) - SHOWN:,} more lines like these, of {len(self.rows):,} jobs in all")
        if any(restarts(row.point.config) for row in self.rows):
            said.append("resume=restart: what is there is set aside, and every job trained anew")
        return said

    def costs(self, at_once: int = 1) -> list[str]:
        """Time and disk for what is left, so many jobs at once."""
        left = [row for row in self.rows if row.left]
        if not left:
            return ["nothing is left to train"]
        free = free_bytes(nearest_folder(self._multirun / "jobs"))
        known = f" of {megabytes(free)} that are free" if free is not None else ""
        room = f"disk: about {megabytes(SWEEP + len(left) * JOB)}{known}"
        return [f"time: {self._time(left, at_once)}", room]

    def _time(self, left: Sequence[Row], at_once: int) -> str:
        known = [row.estimate for row in left if row.estimate]
        if not known:
            return "no estimate yet, for no job has finished here"
        each = [estimate.seconds for estimate in known]
        places = min(at_once, len(left))
        seconds = in_words(max(sum(each) / places, *each))
        guessed = sum(not estimate.alike for estimate in known)
        note = f"; {guessed:,} judged by another network, norm or number of threads" if guessed else ""
        order = f"{places} at once" if places > 1 else "one after another"
        jobs = f"{len(left):,} jobs, {order}" if len(left) > 1 else "1 job"
        return f"about {seconds} for {jobs}, by those that have finished here{note}"


def state_of(job: JobFolder, epochs: int, code: str) -> State:
    """How far a job that has a folder has come."""
    records = job.records()
    same_code = bool(records) and records[0].get("code") == code
    if job.finished:
        return State("finished" if same_code else "finished by other code", epochs)
    done = max((record["epoch"] for record in records if record["kind"] == "epoch"), default=0)
    reached = f"{done} of {epochs} epochs"
    if is_owned(job.path):
        return State("being trained", done, f"by another process, {reached}")
    if not same_code:
        return State("to train", 0, f"{reached} by other code do not count" if done else "")
    if records[-1].get("status") == "FAILED":
        return State("failed", done, f"{reached}: {records[-1].get('error', '')}"[:160].rstrip(": "))
    return State("half done", done, reached) if done else State("to train")


def listed(names: Iterable[str]) -> str:
    """Up to five names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
