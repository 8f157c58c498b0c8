"""Draws the conclusions about runs that normlab did not train."""

import math
import re
from dataclasses import replace

import numpy as np

from src.bad_input import BadInput
from src.runs.external import ExternalRuns, cell_name, number_in
from src.runs.looks import design_level
from src.verdict.accuracies import NOT_READ, Accuracies, Levels, level_sort_key
from src.verdict.failures import failure_differences, failures_by_level
from src.verdict.methods import EQUAL_WITHIN, FAILURES_SHARE, Promise
from src.verdict.points import Measure
from src.verdict.verdicts import Verdicts, advise_more_seeds, compare_tables
from src.wording import joined


def measure_of(external: ExternalRuns) -> Measure:
    """Return how to write the metric: accuracies from 0 to 1 in percentage points, other metrics in their own unit."""
    values = [run.value for run in external.runs if not math.isnan(run.value)]
    is_accuracy = re.search(r"(?<![a-z])acc(uracy|(?![a-z]))", external.metric, re.IGNORECASE)
    in_points = bool(is_accuracy) and all(0 <= value <= 1 for value in values)
    return Measure(external.metric, in_points, external.lower_is_better)


def external_promise(external: ExternalRuns, equal: float | None, look: int) -> Promise:
    """Return the promise of look number `look`; `equal` is in points for accuracies from 0 to 1, else in its unit.

    normlab does not know how often somebody compared these runs, so the user counts the looks.  Without `equal`,
    accuracies are equal within 0.1 points, and other metrics are never called equal.
    """
    in_points = measure_of(external).in_points
    margin = (EQUAL_WITHIN if in_points else 0.0) if equal is None else equal / (100 if in_points else 1)
    return Promise(design_level(look - 1), design_level(look), look, equal_within=margin)


def judge_external(external: ExternalRuns, promise: Promise) -> Verdicts:
    """Compare the methods under the same promise as those that normlab trains.

    Without test images, networks with one seed cannot be compared, and no run is known to have learned nothing.
    Without a validation metric, no method is chosen.
    """
    table = external_table(external)
    failed = [math.isnan(run.value) for run in external.runs]
    levels, seeds = _levels(external), _seed_positions(external)
    lost = sorted({*external.cells} - {*table.cells})
    counts = failures_by_level(levels, seeds, failed, external.factors) if any(failed) else []
    verdicts = Verdicts(
        promise,
        frozenset(run.name for run, has_failed in zip(external.runs, failed, strict=True) if not has_failed),
        (table,),
        failures=tuple(counts),
        failure_differences=tuple(failure_differences(counts, FAILURES_SHARE * promise.level)),
        failed_run_count=sum(failed),
        left_out=(*external.left_out, *([f"all runs of {joined(lost)} failed"] if lost else [])),
        run_count=len(failed),
        factors=external.factors,
    )
    if table.seed_counts.max() < 2:
        return verdicts
    verdicts = compare_tables(verdicts)
    return replace(verdicts, advice=advise_more_seeds(verdicts, []))


def external_table(external: ExternalRuns) -> Accuracies:
    """Return the metric of all runs, with the opposite sign if lower is better; cells without a value are left out.

    A program rounds a metric to a step that normlab does not know.  The smallest difference between two values is a
    multiple of it, so it is used as the step of `rounding_sd`.  Raises BadInput if all runs have the same value.
    """
    columns, sign = _seed_positions(external), -1 if external.lower_is_better else 1
    places = zip(external.runs, _levels(external), columns, strict=True)
    finished = [(run, cell, column) for run, cell, column in places if not math.isnan(run.value)]
    cells = sorted({cell for _, cell, _ in finished}, key=lambda cell: [*map(level_sort_key, cell)])
    rows = {cell: row for row, cell in enumerate(cells)}
    values = np.full((len(cells), max(columns) + 1), np.nan)
    runs = np.full(values.shape, None, dtype=object)
    for run, cell, column in finished:
        values[rows[cell], column] = sign * run.value
        runs[rows[cell], column] = run.name
    distinct = np.unique(values[~np.isnan(values)])
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-12 * np.abs(distinct).max()]  # smaller ones are errors of the computer's arithmetic
    if not gaps.size:
        raise BadInput(f"all runs in {external.source} have the same {external.metric}", "runs that differ")
    return Accuracies(
        dataset="",
        images=1 / float(gaps.min()),
        cells=tuple(
            cell_name([None if level is NOT_READ else level for level in cell], external.factors) for cell in cells
        ),
        levels=tuple(cells),
        seeds=tuple(range(values.shape[1])),
        runs=runs,
        test=values,
        validation=values,
        measurements=np.where(np.isnan(values), -1, np.arange(values.size).reshape(values.shape)),
        measure=measure_of(external),
        has_validation=False,
    )


def _levels(external: ExternalRuns) -> list[Levels]:
    return [tuple(NOT_READ if level is None else level for level in levels) for levels in external.levels]


def _seed_positions(external: ExternalRuns) -> list[int]:
    """The position of each run's seed among all seeds, with numbers in ascending order."""
    numbers = {run.seed: number_in(run.seed) for run in external.runs}
    seeds = sorted(numbers, key=lambda seed: level_sort_key(seed if numbers[seed] is None else numbers[seed]))
    positions = {seed: position for position, seed in enumerate(seeds)}
    return [positions[run.seed] for run in external.runs]
