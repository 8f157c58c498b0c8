"""Measures how often a comparison says anything false, on simulated sweeps with known accuracies.

A sweep counts as false if any of its statements about methods is false: a difference that does not exist or has the
other sign, "equal" for methods that differ by the margin or more, an interaction that does not exist, a best cell that
is not better than all others, candidates without a best cell, levels that do not fail more often, and an interval that
misses the true difference.

python -m benchmarks.verdicts                           2,000 sweeps a row: about 17 minutes on one core
python -m benchmarks.verdicts --sweeps 200 --markdown   a short run, as a table for README
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.false_statements import Statements, check_against_judge, compare, false_statements
from benchmarks.made_up_sweeps import EFFECTS, SPREADS, Design, MadeUpSweep, make_up
from benchmarks.peers import PEERS
from src.results.statistics import ALPHA
from src.runs.looks import DESIGN_SHARE, planned_shares
from src.verdict.advice import advise
from src.verdict.methods import Promise

SHAPES: tuple[tuple[int, ...], ...] = ((2,), (6,), (3, 2), (18,), (3, 3, 2))
SEEDS = (2, 3, 5, 10)
FIXED = Promise()  # the first look at a fixed design
PLANNED_SEEDS = (5, 10, 20)  # at which `seeds=auto` looks by default
MOST_SEEDS = 80  # that advice is followed to

Procedure = Callable[[Design, np.random.Generator], Iterator[tuple[MadeUpSweep, Statements]]]


@dataclass(frozen=True)
class Row:
    """A share of sweeps."""

    group: str
    condition: str
    shape: str
    seeds: str  # number of seeds, or the procedure that decides about it
    sweeps: int
    false: float  # share of sweeps with a false statement
    kinds: dict[str, float]  # the same share for each kind of statement

    @property
    def error(self) -> float:
        """The standard error of `false` for a true share of 5 %."""
        return float((ALPHA * (1 - ALPHA) / self.sweeps) ** 0.5)

    @property
    def too_often(self) -> bool:
        """Whether the share is above 5 % and 2 standard errors."""
        return self.false > ALPHA + 2 * self.error


def one_look(design: Design, generator: np.random.Generator) -> Iterator[tuple[MadeUpSweep, Statements]]:
    """Compare a sweep of a fixed number of seeds."""
    sweep = make_up(design, generator)
    yield sweep, compare(sweep, FIXED)


def advice_obeyed(design: Design, generator: np.random.Generator) -> Iterator[tuple[MadeUpSweep, Statements]]:
    """Train 5 seeds, and then what each comparison suggests, until it suggests nothing more."""
    full_sweep = make_up(design, generator, MOST_SEEDS)
    seeds, level_left, look = 5, ALPHA, 1
    while seeds <= MOST_SEEDS:
        level, next_level = DESIGN_SHARE * level_left, DESIGN_SHARE * (1 - DESIGN_SHARE) * level_left
        sweep = full_sweep.first(seeds)
        statements = compare(sweep, Promise(level, next_level, look))
        yield sweep, statements
        undecided = statements.undecided
        advice = advise([], undecided, next_level / level, look) if undecided else None
        if advice is None or not advice.note:  # the note says how certain a feasible number of seeds is
            return
        seeds, level_left, look = advice.seeds, (1 - DESIGN_SHARE) * level_left, look + 1


def planned_looks(design: Design, generator: np.random.Generator) -> Iterator[tuple[MadeUpSweep, Statements]]:
    """Compare after each planned number of seeds, until every question is decided."""
    full_sweep = make_up(design, generator, PLANNED_SEEDS[-1])
    for seeds, share in planned_shares(PLANNED_SEEDS).items():
        sweep = full_sweep.first(seeds)
        statements = compare(sweep, Promise(DESIGN_SHARE * ALPHA * share))
        yield sweep, statements
        if not statements.undecided and all(best.decided for best in statements.best):
            return


def measure(group: str, condition: str, design: Design, sweeps: int, procedure: Procedure = one_look) -> Row:
    """Return the share of sweeps about which a procedure says anything false."""
    seeds = str(design.seeds) if procedure is one_look else procedure.__name__.replace("_", " ")
    generator = np.random.default_rng([1, *(group + condition + seeds + str(design)).encode()])
    counts: Counter[str] = Counter()
    for _ in range(sweeps):
        kinds = {kind for sweep, said in procedure(design, generator) for kind in false_statements(sweep, said)}
        counts.update([*kinds, *(["any"] if kinds else [])])
    shares = {kind: count / sweeps for kind, count in sorted(counts.items())}
    return Row(group, condition, _shape_text(design.shape), seeds, sweeps, shares.pop("any", 0.0), shares)


def _shape_text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def null_rows(sweeps: int) -> Iterator[Row]:
    """Equal methods: every shape with every symmetric spread and number of seeds."""
    for spread in SPREADS[:-1]:
        for shape in SHAPES:
            for seeds in SEEDS:
                design = Design(shape, seeds, spread=spread, shared_sd=0.0005)
                yield measure("equal methods", spread, design, sweeps)


def varied_rows(sweeps: int) -> Iterator[Row]:
    """Equal methods: runs that fail, a skewed spread, effects that all runs of a seed share, and validation images."""
    for seeds in SEEDS[1:]:
        base = Design(seeds=seeds)
        for shape in SHAPES[:3]:
            yield measure("equal methods", SPREADS[-1], replace(base, shape=shape, spread=SPREADS[-1]), sweeps)
        for shared_sd in (0.0, 0.003):
            condition = f"shared effect of a seed {shared_sd * 100:g} points"
            yield measure("equal methods", condition, replace(base, shared_sd=shared_sd), sweeps)
        for correlation in (0.0, 0.9):
            condition = f"validation correlated {correlation:g}"
            yield measure("equal methods", condition, replace(base, correlation=correlation), sweeps)
        for failed in (0.05, 0.2):
            for failure in ("missing", "collapsed", "by seed"):
                for shape in SHAPES[2::2]:
                    design = replace(base, shape=shape, failed=failed, failure=failure)
                    yield measure("failed runs", f"{100 * failed:g} % {failure}", design, sweeps)


def own_seeds_rows(sweeps: int) -> Iterator[Row]:
    """Methods that were trained with different seeds, which Welch's intervals compare."""
    for seeds in SEEDS:
        for spread in SPREADS:
            for shape in SHAPES[:3]:
                design = Design(shape, seeds, spread=spread, own_seeds="cell")
                yield measure("different seeds in each cell", f"equal methods, {spread}", design, sweeps)
        for effect in ("half of the cells 0.3 points better", "crossing, 0.2 points"):
            design = Design((3, 2), seeds, effect, own_seeds="cell")
            yield measure("different seeds in each cell", effect, design, sweeps)
        for shared_sd in (0.0005, 0.003):
            design = Design((3, 2), seeds, shared_sd=shared_sd, own_seeds="level")
            condition = f"equal methods, shared effect of a seed {shared_sd * 100:g} points"
            yield measure("different seeds at each level", condition, design, sweeps)


def different_rows(sweeps: int) -> Iterator[Row]:
    """Methods that differ."""
    shapes: tuple[tuple[int, ...], ...] = ((6,), (3, 2), (3, 3, 2))
    for effect in EFFECTS[1:]:
        for shape in shapes:
            if len(shape) == 1 and ("crossing" in effect or "two levels" in effect):
                continue
            for seeds in (5, 10) if len(shape) > 2 else (*SEEDS[1:], 20):
                yield measure("different methods", effect, Design(shape, seeds, effect), sweeps)
    for effect in ("half of the cells 0.3 points better", "crossing, 0.2 points"):
        for seeds in (*SEEDS[1:], 20):
            design = Design((3, 2), seeds, effect, failed=0.2)
            yield measure("different methods", f"{effect}, 20 % of runs missing", design, sweeps)


def look_rows(sweeps: int) -> Iterator[Row]:
    """The advice is obeyed to its end, or `seeds=auto` adds the planned seeds."""
    for procedure in (advice_obeyed, planned_looks):
        for shape in SHAPES:
            yield measure("several looks", "equal methods", Design(shape), sweeps, procedure)
        for effect in EFFECTS[1:7]:
            yield measure("several looks", effect, Design((3, 2), effect=effect), sweeps, procedure)
        for spread in SPREADS[1:]:
            yield measure("several looks", f"equal methods, {spread}", Design(spread=spread), sweeps, procedure)


def peer_rows(sweeps: int) -> Iterator[Row]:
    """Other procedures on six equal methods."""
    for name, peer in PEERS.items():
        for seeds in SEEDS[1:]:
            generator = np.random.default_rng([2, seeds])
            made_up = (make_up(Design((6,), seeds), generator).table.test for _ in range(sweeps))
            false_share = sum(peer(accuracies, generator) for accuracies in made_up) / sweeps
            yield Row("other procedures, equal methods", name, "6", str(seeds), sweeps, false_share, {})


GROUPS = (null_rows, varied_rows, own_seeds_rows, different_rows, look_rows, peer_rows)


def tables_of(rows: Sequence[Row], markdown: bool) -> str:
    """Return a table per group: a line per condition and shape, a column per number of seeds, shares in percent."""
    tables = []
    for group in dict.fromkeys(row.group for row in rows):
        group_rows = [row for row in rows if row.group == group]
        columns = sorted({row.seeds for row in group_rows}, key=lambda name: (int(name) if name.isdigit() else 0, name))
        lines: dict[tuple[str, str], dict[str, str]] = {}
        for row in group_rows:
            mark = "*" if row.too_often else ""
            lines.setdefault((row.condition, row.shape), {})[row.seeds] = f"{100 * row.false:.1f}{mark}"
        header = [group, "cells", *(f"{name} seeds" if name.isdigit() else name for name in columns)]
        cells = [[*key, *(shares.get(name, "") for name in columns)] for key, shares in lines.items()]
        tables.append(_markdown([header, *cells]) if markdown else _aligned([header, *cells]))
    return "\n\n".join(tables)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    header, *table_rows = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([header, f"|{' --- |' * len(lines[0])}", *table_rows])


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.verdicts", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sweeps", type=int, default=2000, help="sweeps of each row (default: %(default)s)")
    parser.add_argument("--groups", nargs="*", help="only some of: " + ", ".join(_group_name(rows) for rows in GROUPS))
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the numbers as JSON")
    arguments = parser.parse_args()
    started = time.monotonic()
    check_against_judge([Design(), Design((6,), 3), Design((3, 3, 2), failed=0.2, failure="collapsed")])
    rows: list[Row] = []
    for group in GROUPS:
        if not arguments.groups or _group_name(group) in arguments.groups:
            rows += group(arguments.sweeps)
    print(tables_of(rows, arguments.markdown))
    limit = 100 * (ALPHA + 2 * rows[0].error)
    minutes = (time.monotonic() - started) / 60
    print(f"\n% of {arguments.sweeps:,} sweeps with a false statement; * above {limit:.2f} %; {minutes:.0f} minutes")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def _group_name(rows: Callable[[int], Iterator[Row]]) -> str:
    return rows.__name__.removesuffix("_rows")


if __name__ == "__main__":
    main()
