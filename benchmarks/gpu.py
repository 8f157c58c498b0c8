"""Checks what normlab claims about training on a GPU, and prints each claim with its measurement.

    python -m benchmarks.gpu                 all claims, about three minutes on one GPU
    python -m benchmarks.gpu --small         small jobs, also on a machine without a GPU, where steps are eager
    python -m benchmarks.gpu --only bits --json gpu.json
    python -m benchmarks.gpu --only precision --only graphs     measurements that no claim needs

Each line is printed as soon as it is measured.  It needs no network, because MNIST is part of the project.  The exit
status is 1 if a claim fails.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.faulty_jobs import BrokenAccess, TooMuchMemory
from benchmarks.gpu_jobs import COLOUR, PLACES, SMALL_DATA, Bench, Trained, Watch, variants
from benchmarks.ratios import environment, show_machine, write
from src.config import Config
from src.models.resnet import ResNet
from src.norms.none import NoNorm
from src.runs.folder import JobFolder
from src.workers.machine import visible_gpus

KINDS = ("ready", "epoch")  # kinds of journal records


@dataclass(frozen=True)
class Claim:
    """A claim, the measurement that shows it, and whether it holds; None if there is only a measurement."""

    text: str
    measured: str
    holds: bool | None = None


def timed(bench: Bench, text: str, measured: str, *, holds: bool) -> Claim:
    """Return a claim about a time, which says nothing if the jobs are small."""
    return Claim(text, measured, holds=None if bench.small else holds)


def compare(text: str, reference: Trained, other: Trained, *, names: Iterable[str]) -> Claim:
    """Return the claim that the named jobs of two trainings have equal bits."""
    ends = {name: other.ends.get(name) or reference.ends.get(name) for name in names}
    failed = [f"{name}: {end}" for name, end in ends.items() if end]
    different = [name for name in ends if not ends[name] and reference.bits(name) != other.bits(name)]
    measured = f"{len(ends) - len(failed) - len(different)} of {len(ends)} jobs equal"
    measured += f", different: {', '.join(different)}" if different else ""
    return Claim(text, "; ".join([measured, *failed]), not different and not failed)


def bits(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about equal bits, and about deaths."""
    jobs, alone = variants(bench), bench.alone
    eager = bench.train(variants(bench, execution="eager"), places=1)
    yield compare("a graph gives the bits of eager steps", eager, alone, names=jobs)
    together = bench.train(jobs)
    yield compare("a job among seven others gives the bits of a job alone", alone, together, names=jobs)
    yield compare("two runs of one command give the same bits", together, bench.train(jobs), names=jobs)
    killed = bench.train(jobs, display=Watch("gn", times=1))
    yield compare("jobs of a killed process resume to the same bits", alone, killed, names=jobs)
    blamed = bench.train(jobs, display=Watch("gn", times=99))
    others = {name: config for name, config in jobs.items() if name != "gn"}
    claim = compare("only the job that kills its process fails", alone, blamed, names=others)
    reason = blamed.ends["gn"]
    yield replace(claim, measured=f"{claim.measured}; gn: {reason}", holds=bool(claim.holds and reason))
    wrong = replace(jobs["bn"], norm=NoNorm(), optimizer=replace(jobs["bn"].optimizer, lr=1e20))
    yield fails_alone(bench, "a job that raises", wrong, "Diverged")


def fails_alone(bench: Bench, text: str, wrong: Config, error: str) -> Claim:
    """Return the claim that a job fails with an error, and leaves seven others their bits."""
    jobs = {name: config for name, config in variants(bench).items() if name != "bn_bfloat16"}
    trained = bench.train({"wrong": wrong, **jobs})
    claim = compare(f"{text} fails alone", bench.alone, trained, names=jobs)
    reason = trained.ends["wrong"]
    return replace(claim, measured=f"{claim.measured}; {reason[:100]}", holds=bool(claim.holds and error in reason))


def faults(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about jobs that break the process, or need too much memory."""
    error = "CUDA error" if visible_gpus() else "IndexError"
    broken = bench.short(augmentation=BrokenAccess())
    yield fails_alone(bench, "a job that breaks the process's access to the GPU", broken, error)
    hungry = bench.short(augmentation=TooMuchMemory())
    yield fails_alone(bench, "a job that needs too much memory", hungry, "OutOfMemoryError")


def places(bench: Bench) -> Iterator[Claim]:
    """Yield the claim that the default number of jobs at once is the fastest."""
    jobs = {f"s{seed}": bench.job(seed=seed) for seed in range(4 if bench.small else 32)}
    steps = len(jobs) * (2 * 16 if bench.small else 4 * 429)
    ms = {}
    for number in (2, 4) if bench.small else (4, 8, 16):
        ms[number] = bench.train(jobs, places=number).seconds_after_first_epoch / steps * 1000
    measured = ", ".join(f"{number}: {value:.3f} ms" for number, value in ms.items())
    best = min(ms, key=ms.__getitem__)
    text = f"{PLACES} jobs at once take at most 10 % longer per step than the best number"
    yield timed(bench, text, f"{measured}, best {best}", holds=ms.get(PLACES, 0) <= 1.1 * ms[best])


def seeds(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about many seeds of one network."""
    jobs = {f"s{seed}": bench.job(seed=seed) for seed in range(bench.seeds)}
    images = 268 if bench.small else 55_000
    alone = {f"s{seed}": jobs[f"s{seed}"] for seed in range(3)}
    single = bench.train({"eager": bench.job(execution="eager"), **alone}, places=1)
    together = bench.train(jobs)
    ms = [single.step_ms(name, images) for name in ("eager", "s0")]
    measured = f"eager {ms[0]:.3f} ms, graph {ms[1]:.3f} ms"
    yield timed(bench, "a step of bn takes at most 0.3 ms alone", measured, holds=ms[1] <= 0.3)
    yield compare("three of many seeds give the bits of the seeds alone", single, together, names=alone)
    finished = sum(not end for end in together.ends.values())
    eager = JobFolder(single.folder / "eager").result()
    one_after_another = len(jobs) * (eager["seconds"]["total"] if eager else 0)
    measured = (
        f"{finished} of {len(jobs)} finished, {together.seconds:.1f} s, {together.seconds_after_first_epoch:.1f} s "
        f"after the first epoch; median job: {together.phases()}; eager one after another {one_after_another:.0f} s"
    )
    yield timed(bench, "100 seeds of bn take at most 35 s", measured, holds=together.seconds_after_first_epoch <= 35)
    ratio = one_after_another / together.seconds
    yield timed(bench, "100 seeds are 20 times as fast as one after another", f"{ratio:.1f} times", holds=ratio >= 20)


def command(bench: Bench) -> Iterator[Claim]:
    """Yield the claim about README's six runs."""
    words = ["src.train", "-m", "norm=bn,gn,ln", "reg.l1=0,1e-5", "tracking=none"]
    words += ["data=synthetic", "epochs=1"] if bench.small else []
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        seconds = time.time() - began
        jobs = [JobFolder(path) for path in Path(folder).glob("multirun/jobs/*")]
        finished = [result for job in jobs if (result := job.result())]
        journals = [job.records() for job in jobs]
    measured = f"{len(finished)} of 6 finished, exit status {done.returncode} {done.stderr[-500:] * done.returncode}"
    yield Claim("README's six runs finish", measured.strip(), done.returncode == 0 and len(finished) == 6)
    measured = f"{seconds:.1f} s; {timeline(journals, finished, began)}"
    yield timed(bench, "README's six runs take at most 12 s", measured, holds=seconds <= 12)
    times = {kind: [record["time"] for job in journals for record in job if record["kind"] == kind] for kind in KINDS}
    training = (max(times["epoch"], default=0) - min(times["ready"], default=0)) / 1000
    text = "of which they train at most 3 s, from the first network to the last epoch"
    yield timed(bench, text, f"{training:.1f} s", holds=training <= 3)


def timeline(journals: list[list[dict[str, Any]]], results: list[dict[str, Any]], began: float) -> str:
    """Return when the first and the last job reached each point, in seconds since the command began."""

    def span(moments: list[float]) -> str:
        after = sorted(moment / 1000 - began for moment in moments)
        return f"{after[0]:.1f} to {after[-1]:.1f} s" if after else "never"

    moments: dict[str, list[float]] = {}
    for records in journals:
        for record in records:
            moments.setdefault(f"{record['kind']} {record.get('epoch', '')}".strip(), []).append(record["time"])
    moments["finished"] = [result["finished"] for result in results]
    return ", ".join(f"{name}: {span(times)}" for name, times in moments.items())


def colour(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about ResNet-20 on colour images."""
    data = replace(SMALL_DATA, channels=3, size=32, images=96) if bench.small else COLOUR
    config = bench.job(model=ResNet(depth=20), data=data, epochs=3, precision="bfloat16")
    four, images = {str(seed): replace(config, seed=seed) for seed in range(4)}, data.images - (data.validation or 0)
    alone = bench.train({"0": four["0"]}, places=1).step_ms("0", images)
    text = "ResNet-20 takes at most 2.4 ms a step in bfloat16"
    yield timed(bench, text, f"{alone:.2f} ms", holds=alone <= 2.4)
    together = bench.train(four, places=4).step_ms("0", images) / 4
    yield timed(bench, "and 1.3 ms per model with four at once", f"{together:.2f} ms", holds=together <= 1.3)


def precision(bench: Bench) -> Iterator[Claim]:
    """Yield a step's time for each network, precision and memory format."""
    from benchmarks.gpu_steps import precision_rows  # uses CUDA in this process, which the claims do not

    for row in precision_rows(small=bench.small):
        yield Claim(*row)


def graphs(bench: Bench) -> Iterator[Claim]:
    """Yield a step's time for each number of steps per graph."""
    from benchmarks.gpu_steps import graph_rows

    for row in graph_rows(small=bench.small):
        yield Claim(*row)


CLAIMS: dict[str, Callable[[Bench], Iterator[Claim]]] = {
    "command": command,
    "seeds": seeds,
    "bits": bits,
    "colour": colour,
    "faults": faults,
    "places": places,
}
PARTS = {**CLAIMS, "precision": precision, "graphs": graphs}
VERDICTS = {True: "holds", False: "FAILS", None: "     "}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="part; you can repeat it (default: all claims)")
    parser.add_argument("--small", action="store_true", help="train small jobs; times then mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the claims as JSON")
    arguments = parser.parse_args()
    show_machine()
    print(f"{len(visible_gpus())} GPU(s)", flush=True)
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), small=arguments.small)
        for part in arguments.only or CLAIMS:
            began = time.monotonic()
            try:
                for claim in PARTS[part](bench):
                    claims.append(claim)
                    print(f"{VERDICTS[claim.holds]}  {claim.text}: {claim.measured}", flush=True)
            except Exception as error:
                traceback.print_exc()
                claims.append(Claim(f"the part {part} ends", f"{type(error).__name__}: {error}", holds=False))
            print(f"       ({part}: {time.monotonic() - began:.1f} s)", flush=True)
    write(arguments.json, {"claims": [asdict(claim) for claim in claims]})
    sys.exit(int(any(claim.holds is False for claim in claims)))


if __name__ == "__main__":
    main()
