"""Makes up sweeps of methods with known accuracies."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.results.results import Results
from src.verdict.accuracies import Accuracies

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
    own_seeds: str = ""  # `cell`: each cell has seeds of its own; `level`: each level of the first factor has
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
    test_noise, other_noise = _deviations(design, generator, size), _deviations(design, generator, size)
    groups = _seed_groups(design, len(cells))
    seed_effects = design.shared_sd * generator.standard_normal((groups[-1] + 1, size[1]))[groups]
    val_noise = design.correlation * test_noise + (1 - design.correlation**2) ** 0.5 * other_noise
    test, validation = (
        np.round((truth[:, None] + noise + seed_effects) * IMAGES) / IMAGES for noise in (test_noise, val_noise)
    )
    failed = _failures(design, generator, size)
    runs = np.array([[f"{cell} s{seed}" for seed in range(size[1])] for cell in range(size[0])], dtype=object)
    numbers = np.arange(runs.size).reshape(size)
    if failed.any():
        test[failed] = validation[failed] = np.nan
        runs[failed], numbers[failed] = None, -1
    names = tuple(" ".join(map(str, cell)) for cell in cells)
    failed = failed if design.failure != "missing" else np.zeros_like(failed)
    arrays = (
        _spread_over_seeds(values, groups, empty)
        for values, empty in ((runs, None), (test, np.nan), (validation, np.nan), (numbers, -1))
    )
    seeds_of_all = tuple(range(size[1] * (int(groups[-1]) + 1)))
    table = Accuracies("made up", IMAGES, names, tuple(cells), seeds_of_all, *arrays)  # type: ignore[arg-type]  # four arrays
    return MadeUpSweep(design, table, truth, _spread_over_seeds(failed, groups, False))


def _seed_groups(design: Design, cells: int) -> npt.NDArray[np.int64]:
    """The number of each cell's set of seeds (cells,), ascending; cells with the same number have the same seeds."""
    sets = {"": 1, "cell": cells, "level": design.shape[0]}[design.own_seeds]
    return np.repeat(np.arange(sets), cells // sets)


def _spread_over_seeds(values: npt.NDArray[Any], groups: npt.NDArray[np.int64], empty: object) -> npt.NDArray[Any]:
    """Move each row to the columns of its seeds, and fill the columns of other seeds with `empty`."""
    cells, seeds = values.shape
    spread = np.full((cells, groups[-1] + 1, seeds), empty, dtype=values.dtype)
    spread[np.arange(cells), groups] = values
    return spread.reshape(cells, -1)


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
