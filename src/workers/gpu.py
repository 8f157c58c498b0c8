"""The engine for jobs on GPUs: one process per GPU trains several jobs at once.

An error ends only its own job.  If a signal stops a process, it stops its jobs.  If a whole process dies otherwise,
its jobs resume one to a process, so only the job that is to blame dies again.  If the GPU's memory runs out, the engine
trains half as many jobs at once.
"""

import contextlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from src.config import Config
from src.console import say
from src.limits import usable_cores
from src.progress import Update
from src.runs.ending import exit_reason
from src.workers.gpu_worker import FAILED, FINISHED, OUT_OF_MEMORY, SIGNALLED, TRAINED, paint, train_jobs
from src.workers.machine import gpu_names
from src.workers.processes import FORK_SERVER_CONTEXT, MAX_WAIT, start_process
from src.workers.queue import Task

MAX_PAINTERS = 4  # processes that draw pictures for each GPU


@dataclass(eq=False)
class GpuJob:
    """A job that was submitted to the engine."""

    task: Task
    gpu_name: str  # see `Engine`
    updates: list[Update] = field(default_factory=list)
    cause: str | None = None  # None until the job has ended; see `Engine.poll`
    has_trained: bool = False  # whether the job only draws and writes files now, and gives up its place
    is_suspect: bool = False  # whether a process died that trained this job and others
    places_before: int = 0  # the GPU's places before its memory ran out for this job


@dataclass(eq=False)
class GpuProcess:
    """A process that trains jobs, and the jobs that it trains."""

    process: ForkServerProcess
    pipe: Connection
    nondeterministic: bool  # of all its jobs, because the setting changes a whole process
    jobs: dict[Path, GpuJob] = field(default_factory=dict)

    @property
    def training(self) -> int:
        """The number of jobs that still train."""
        return sum(not job.has_trained for job in self.jobs.values())


class Gpu:
    """One GPU: starts its process, gives it jobs, and finds out how they end."""

    live = False  # whether jobs send updates within an epoch

    def __init__(self, environment: dict[str, str], name: str, places: int) -> None:
        """Train up to `places` jobs at once in a process with these environment variables."""
        self._environment, self.name, self.places = environment, name, places
        self._process: GpuProcess | None = None
        self.waiting: list[GpuJob] = []

    @property
    def jobs(self) -> int:
        """The number of jobs that this GPU trains or will train next."""
        return len(self.waiting) + (self._process.training if self._process else 0)

    @property
    def slots(self) -> int:
        """How many jobs this GPU accepts at once; more than its places while some have trained."""
        return self.places + (len(self._process.jobs) - self._process.training if self._process else 0)

    @property
    def events(self) -> list[int | Connection]:
        """The objects that become ready when the process reports or ends."""
        return [self._process.process.sentinel, self._process.pipe] if self._process else []

    def advance(self) -> None:
        """Read what the process has sent, notice its end, and give it the next jobs."""
        if self._process:
            is_alive = self._process.process.is_alive()  # asked first: an ended process sends nothing
            self._read(self._process)
            if not is_alive:
                self._note_death(self._process)
        while (job := next(iter(self.waiting), None)) and self._has_place(job):
            self._send(job)

    def _has_place(self, job: GpuJob) -> bool:
        if self._process is None or not self._process.jobs:
            return True
        is_alone = job.is_suspect or any(other.is_suspect for other in self._process.jobs.values())
        return not is_alone and self._process.training < self.places and self._suits(job)

    def _suits(self, job: GpuJob) -> bool:
        """Whether the process has the algorithms that a job needs."""
        return self._process is not None and self._process.nondeterministic == job.task.config.nondeterministic

    def _send(self, job: GpuJob) -> None:
        if not self._suits(job):
            self.stop()
        if self._process is None:
            self._process = self._start(job.task.config)
        self._process.jobs[job.task.folder], job.has_trained = job, False
        self.waiting.remove(job)
        with contextlib.suppress(OSError):  # the process has just died; `advance` will notice
            self._process.pipe.send((job.task.config, job.task.folder))

    def _start(self, config: Config) -> GpuProcess:
        pipe, worker_end = FORK_SERVER_CONTEXT.Pipe()
        painters = [FORK_SERVER_CONTEXT.Pipe() for _ in range(max(1, min(MAX_PAINTERS, usable_cores() // 2)))]
        arguments = (worker_end, [end for end, _ in painters], self._environment, self.places, self.live)
        process = FORK_SERVER_CONTEXT.Process(target=train_jobs, args=arguments)
        start_process(process)
        for _, painter_end in painters:
            start_process(FORK_SERVER_CONTEXT.Process(target=paint, args=(painter_end,)))
        for end in (worker_end, *(end for pair in painters for end in pair)):
            end.close()  # so that each process notices the end of the others
        return GpuProcess(process, pipe, config.nondeterministic)

    def _read(self, process: GpuProcess) -> None:
        with contextlib.suppress(EOFError, OSError):
            while process.pipe.poll():
                folder, news = process.pipe.recv()
                if isinstance(news, Update):
                    process.jobs[folder].updates.append(news)
                elif news == TRAINED:
                    process.jobs[folder].has_trained = True
                else:
                    self._note_end(process.jobs.pop(folder), news, others=len(process.jobs))

    def _note_end(self, job: GpuJob, end: str, others: int) -> None:
        if end == OUT_OF_MEMORY and others:
            job.places_before = job.places_before or self.places
            self.places = max(1, min(self.places // 2, others))
            say(f"{job.task.name}: the GPU's memory ran out with {others + 1} jobs; now at most {self.places} at once")
            self.waiting.insert(0, job)
            return
        if end == OUT_OF_MEMORY and job.places_before:  # the job does not fit alone either, so it was to blame
            self.places = job.places_before
        job.cause = "" if end in (FINISHED, FAILED) else end

    def _note_death(self, process: GpuProcess) -> None:
        """Blame a job that was alone for the death of its process; let several jobs resume one to a process."""
        self._process, jobs = None, list(process.jobs.values())
        code = process.process.exitcode or 0
        reason = exit_reason(code)
        if code - SIGNALLED in (signal.SIGINT, signal.SIGTERM):  # for example, Slurm has announced a preemption
            for job in jobs:
                job.cause = f"Terminated: received signal {code - SIGNALLED}"
        elif len(jobs) == 1:
            jobs[0].cause = reason
            for job in self.waiting:  # the job to blame is found
                job.is_suspect = False
        elif jobs:
            say(f"{len(jobs)} jobs shared a process, and {reason}; they resume one at a time")
            self.waiting[:0] = jobs
            for job in jobs:
                job.is_suspect = True

    def stop(self) -> None:
        """End the process at once; its jobs are then at their last checkpoints."""
        if self._process:
            self._process.process.kill()
            self._process.process.join()
            self._process = None


class GpuEngine:
    """Trains several jobs at once on each GPU of this machine."""

    def __init__(self, environments: Sequence[dict[str, str]], jobs_per_gpu: int) -> None:
        """Use one process for each of `environments`, the environment variables that let a process see its GPU."""
        names = gpu_names(environments)
        self._gpus = [Gpu(*gpu, jobs_per_gpu) for gpu in zip(environments, names, strict=True)]

    @property
    def slots(self) -> int:
        """How many jobs run at once; fewer after a GPU's memory has run out, and more while some only draw."""
        return sum(gpu.slots for gpu in self._gpus)

    def submit(self, task: Task, *, live: bool) -> GpuJob:
        """Give a job to the GPU with the fewest jobs."""
        gpu = min(self._gpus, key=lambda gpu: gpu.jobs / gpu.places)
        job = GpuJob(task, gpu.name)
        gpu.live = live
        gpu.waiting.append(job)
        return job

    def wait(self, jobs: Sequence[GpuJob]) -> None:
        """Sleep until a process reports or ends, `MAX_WAIT` seconds at most."""
        self._advance()
        if all(job.cause is None for job in jobs):
            connection.wait([event for gpu in self._gpus for event in gpu.events], MAX_WAIT)
            self._advance()

    def _advance(self) -> None:
        for gpu in self._gpus:
            gpu.advance()

    def poll(self, job: GpuJob) -> tuple[list[Update], str | None]:
        """Return a job's new updates, and the cause once it has ended; see `Engine.poll`."""
        updates, job.updates = job.updates, []
        return updates, job.cause

    def stop(self, jobs: Sequence[GpuJob], signal_number: int) -> None:
        """End all processes at once; their jobs are then at their last checkpoints."""
        for gpu in self._gpus:
            gpu.stop()
