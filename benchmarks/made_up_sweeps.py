"""Makes up sweeps of methods with known accuracies, and lists what a comparison says about them that is false."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.results.results import Results
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import Accuracies
from src.verdict.best import Best, tuned_levels
from src.verdict.contrasts import CELL, Contrast
from src.verdict.failures import FailureCount, FailureDifference, failure_differences, failures_by_level
from src.verdict.methods import FAILURES, Promise, compare_methods

IMAGES = 10_000
ACCURACY = 0.9
RUN_SD = 0.0007  # of a run around its cell's mean, as measured on MNIST
CHANCE = 0.1  # accuracy of a run that did not learn
FACTORS = ("norm.name", "reg.l1", "reg.l2")
EFFECTS = (  # how the cells' true accuracies differ
    "none",
    "half of the cells 0.3 points better",
    "one level 0.3 points better",
    "one level 0.1 points better",
    "two levels of the second factor differ by 0.1 points",
    "crossing, 0.2 points",
    "crossing, 0.1 points",
    "one cell 0.1 points better",
    "one cell 0.5 points better",
)
SPREADS = ("normal", "t, 2 df", "one image", "half three times", "one ten times", "one skewed")

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """A grid of methods: how their true accuracies differ, and how their runs vary."""

    shape: tuple[int, ...] = (3, 2)  # levels of each factor
    seeds: int = 5
    effect: str = "none"  # of `EFFECTS`
    spread: str = "normal"  # of `SPREADS`
    shared_sd: float = 0.0005  # of the effect that a seed has on all cells: same first weights, same order of images
    correlation: float = 0.5  # of a run's deviations on the validation images and on the test images
    failed: float = 0.0  # share of runs that fail
    failure: str = "missing"  # `missing`: the runs do not exist; `collapsed`: at chance level; `by seed`: in all cells
    # of one level of the first factor with one seed

    @property
    def factors(self) -> tuple[str, ...]:
        """The dotted keys that vary."""
        return FACTORS[: len(self.shape)]


@dataclass(frozen=True)
class MadeUpSweep:
    """The accuracies of a sweep, with the truth about them."""

    design: Design
    table: Accuracies  # runs that failed have no accuracy
    truth: Floats  # true accuracies (cells,)
    failed: Bools  # runs that did not learn (cells, seeds)

    def first(self, seeds: int) -> "MadeUpSweep":
        """Return the sweep with its first seeds only."""
        arrays = {name: getattr(self.table, name)[:, :seeds] for name in ("runs", "test", "validation", "measurements")}
        table = replace(self.table, seeds=self.table.seeds[:seeds], **arrays)
        return replace(self, table=table, failed=self.failed[:, :seeds])

    def compared(self) -> "MadeUpSweep":
        """Return the sweep without cells that have a single run."""
        several = self.table.seed_counts > 1
        return replace(self, table=self.table.select(several), truth=self.truth[several], failed=self.failed[several])


def true_accuracies(shape: tuple[int, ...], effect: str) -> Floats:
    """Return the true accuracies (cells,) of an effect named in `EFFECTS`."""
    points = np.zeros(shape)
    if effect.startswith("half"):
        points.ravel()[: points.size // 2] = 0.3
    elif effect.startswith("one level"):
        points[-1] = float(effect.split()[2])
    elif effect.startswith("two levels"):
        points[:, -1] = 0.1
    elif effect.startswith("crossing"):
        size = float(effect.split()[1]) / 2
        points[0, 0], points[1, 1], points[0, 1], points[1, 0] = size, size, -size, -size
    elif effect.startswith("one cell"):
        points.ravel()[points.size // 2] = float(effect.split()[2])
    accuracies: Floats = ACCURACY + points.ravel() / 100
    return accuracies


def make_up(design: Design, generator: np.random.Generator, seeds: int | None = None) -> MadeUpSweep:
    """Return a random sweep of the design; its accuracies are whole numbers of images."""
    levels = [[f"m{level:02}" for level in range(design.shape[0])], *map(range, design.shape[1:])]
    cells = list(product(*levels))
    size = len(cells), seeds or design.seeds
    truth = true_accuracies(design.shape, design.effect)
    own, beside = _deviations(design, generator, size), _deviations(design, generator, size)
    seed_effects = design.shared_sd * generator.standard_normal(size[1])
    mixed = design.correlation * own + (1 - design.correlation**2) ** 0.5 * beside
    test, validation = (
        np.round((truth[:, None] + deviations + seed_effects) * IMAGES) / IMAGES for deviations in (own, mixed)
    )
    failed = _failures(design, generator, size)
    runs = np.array([[f"{cell} s{seed}" for seed in range(size[1])] for cell in range(size[0])], dtype=object)
    numbers = np.arange(runs.size).reshape(size)
    if failed.any():
        test[failed] = validation[failed] = np.nan
        runs[failed], numbers[failed] = None, -1
    names = tuple(" ".join(map(str, cell)) for cell in cells)
    table = Accuracies("made up", IMAGES, names, tuple(cells), tuple(range(size[1])), runs, test, validation, numbers)
    return MadeUpSweep(design, table, truth, failed if design.failure != "missing" else np.zeros_like(failed))


def _deviations(design: Design, generator: np.random.Generator, size: tuple[int, int]) -> Floats:
    """How far each run (cells, seeds) is from its cell's true accuracy; the mean is 0 whatever the spread."""
    if design.spread == "t, 2 df":
        return RUN_SD * generator.standard_t(2, size)
    deviations = generator.standard_normal(size)
    if design.spread == "one skewed":
        deviations[-1] = 1 - generator.standard_exponential(size[1])
    if design.spread == "half three times":
        deviations[::2] *= 3
    if design.spread == "one ten times":
        deviations[-1] *= 10
    return deviations * (1 / IMAGES if design.spread == "one image" else RUN_SD)


def _failures(design: Design, generator: np.random.Generator, size: tuple[int, int]) -> Bools:
    if not design.failed:
        return np.zeros(size, dtype=bool)
    if design.failure != "by seed":
        return generator.random(size) < design.failed
    by_level = generator.random((design.shape[0], size[1])) < design.failed
    return np.repeat(by_level, size[0] // design.shape[0], axis=0)


@dataclass(frozen=True)
class Statements:
    """Everything that a comparison says about methods."""

    contrasts: Sequence[Contrast] = ()
    interactions: Sequence[Contrast] = ()
    best: Sequence[Best] = ()
    failures: Sequence[FailureDifference] = ()

    @property
    def undecided(self) -> list[Contrast]:
        """The contrasts that more seeds could decide."""
        return [contrast for contrast in self.contrasts if contrast.outcome == "open" and contrast.n > 1]


def compare(sweep: MadeUpSweep, promise: Promise) -> Statements:
    """Compare the methods of a sweep as `src.verdict.verdicts.judge` does, without its frames."""
    failures = failure_differences(_failure_counts(sweep), FAILURES * promise.level) if sweep.failed.any() else []
    table = sweep.compared().table
    if not table.cells:
        return Statements(failures=failures)
    return Statements(*compare_methods([table], sweep.design.factors, promise), failures)


def _failure_counts(sweep: MadeUpSweep) -> list[FailureCount]:
    cells, seeds = np.nonzero(sweep.failed | ~np.isnan(sweep.table.test))
    levels = [sweep.table.levels[cell] for cell in cells]
    return failures_by_level(levels, seeds.tolist(), sweep.failed[cells, seeds].tolist(), sweep.design.factors)


def false_statements(sweep: MadeUpSweep, statements: Statements) -> Iterator[str]:
    """Yield the kind of each statement that is false; `interval` for each interval that misses the truth."""
    compared = sweep.compared()
    for contrast in (*statements.contrasts, *statements.interactions):
        if contrast.low is None or contrast.high is None:
            continue
        true = true_difference(compared, contrast)
        if contrast.outcome == "better" and (abs(true) < 1e-9 or (true > 0) != (contrast.low > 0)):
            yield "interaction" if contrast.interaction else "better"
        if contrast.outcome == "equal" and abs(true) > contrast.equal_within - 1e-9:
            yield "equal"
        if not contrast.low - 1e-9 <= true <= contrast.high + 1e-9:
            yield "interval"
    for best in statements.best:
        yield from _false_about_best(compared, best)
    for _ in statements.failures:  # all methods fail equally often
        yield "failure"


def true_difference(sweep: MadeUpSweep, contrast: Contrast) -> float:
    """Return the true difference, averaged over the settings that have a common seed."""
    if sweep.design.effect == "none":
        return 0.0
    if contrast.factor == CELL:
        first, second = (sweep.table.cells.index(name) for name in (contrast.first, contrast.second))
        return float(sweep.truth[first] - sweep.truth[second])
    factors = [short_name(path, sweep.design.factors) for path in sweep.design.factors]
    positions = [factors.index(name) for name in contrast.factor.split(" x ")]
    held = contrast.setting.split("=") if contrast.setting else None
    rows = {tuple(map(format_value, levels)): row for row, levels in enumerate(sweep.table.levels)}
    ends = list(zip(contrast.first.split(", "), contrast.second.split(", "), strict=True))
    tested = ~np.isnan(sweep.table.test)
    differences = []
    for levels in rows:
        if any(levels[k] != pair[0] for k, pair in zip(positions, ends, strict=True)):
            continue
        if held and levels[factors.index(held[0])] != held[1]:
            continue
        signed_rows = []
        for choice in product((0, 1), repeat=len(positions)):
            corner = list(levels)
            for k, pair, side in zip(positions, ends, choice, strict=True):
                corner[k] = pair[side]
            signed_rows.append((rows.get(tuple(corner)), (-1) ** sum(choice)))
        if all(row is not None for row, _ in signed_rows) and tested[[row for row, _ in signed_rows]].all(axis=0).any():
            differences.append(sum(sign * float(sweep.truth[row]) for row, sign in signed_rows if row is not None))
    return float(np.mean(differences))


def _false_about_best(sweep: MadeUpSweep, best: Best) -> Iterator[str]:
    truth = dict(zip(sweep.table.cells, sweep.truth.tolist(), strict=True))
    most = max(truth.values())
    leaders = {cell for cell, value in truth.items() if value > most - 1e-9}
    if not leaders.intersection(best.candidates) or (len(best.candidates) == 1 and len(leaders) > 1):
        yield "best"
    if best.candidates_equal and any(truth[cell] < most - best.equal_within - 1e-9 for cell in best.candidates):
        yield "equal"
    if any(truth[cell] < most - behind - 1e-9 for cell, behind in best.behind.items()):
        yield "interval"
    for position in range(len(sweep.design.shape)):
        cells: dict[str, list[str]] = {}
        for cell, levels in zip(sweep.table.cells, sweep.table.levels, strict=True):
            cells.setdefault(format_value(levels[position]), []).append(cell)
        found = {row.level for row in tuned_levels(best, cells, sweep.table) if row.may_be_best}
        true = {level for level, of_level in cells.items() if leaders.intersection(of_level)}
        if not found & true or (len(found) == 1 and len(true) > 1):
            yield "tuned"


def as_results(sweep: MadeUpSweep) -> Results:
    """Return the sweep in the form that normlab reads from job folders."""
    rows = []
    for cell, levels in enumerate(sweep.table.levels):
        for column, seed in enumerate(sweep.table.seeds):
            collapsed = bool(sweep.failed[cell, column])
            if np.isnan(sweep.table.test[cell, column]) and not collapsed:
                continue
            name = sweep.table.cells[cell]
            accuracies = (table[cell, column] for table in (sweep.table.test, sweep.table.validation))
            test, validation = (CHANCE if collapsed else float(value) for value in accuracies)
            row = {"run": f"{name} s{seed}", "cell": name, "seed": seed, "test/accuracy": test}
            row |= {"val/accuracy": validation, "dataset": "0" * 64, "dataset_name": "made up", "environment": ""}
            rows.append(row | dict(zip(sweep.design.factors, levels, strict=True)))
    sources = {"0" * 64: {"test": IMAGES, "classes": list(range(10))}}
    return Results(pd.DataFrame(rows), pd.DataFrame({"run": []}), sweep.design.factors, sources, {}, ())
