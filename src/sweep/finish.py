"""Compares a sweep after its last job; at the end of a search, also delivers its runs to MLflow."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.bad_input import BadInput
from src.console import SteadyConsole, say
from src.options import Tracking
from src.runs.sweep import Sweep, read_sweep
from src.sweep.command_line import study_id
from src.sweep.option_files import missing_values


def compare_sweep(
    sweep: Sweep, multirun: Path, equal: float, *, changed: bool = True, planned_looks: Sequence[int] = ()
) -> tuple[int, bool]:
    """Compare a finished sweep; methods that differ by at most `equal` percentage points are equal.

    Returns the exit status (1 if jobs are missing or the comparison fails, else 0), and whether a question is open.
    """
    from src.report.comparison import compare_runs

    try:
        results, _, verdicts = compare_runs(
            [sweep],
            multirun,
            sweep.folder(multirun),
            SteadyConsole(),
            changed=changed,
            planned_looks=planned_looks,
            equal=equal,
        )
    except Exception as error:  # for example a full disk; finished jobs stay valid
        say(f"the comparison failed: {type(error).__name__}: {error}".rstrip(": "))
        return 1, False
    return int(bool(results.unfinished)), verdicts is not None and verdicts.open


class StudyEnd(Callback):
    """Compares the trials of a search by Optuna or another sweeper after the last one."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Compare the search and deliver its runs. Hydra calls this at the end of a successful search."""
        multirun = Path(config.hydra.sweep.dir).parent
        manifest = multirun / "sweeps" / study_id()[:8] / "manifest.json"
        if not manifest.exists():
            return
        try:
            sweep = read_sweep(manifest)
        except BadInput as refusal:  # Hydra turns any exception but SystemExit into a warning
            say(str(refusal))
            sys.exit(1)
        exit_status = compare_sweep(sweep, multirun, config.compare.equal)[0]
        for path, value in missing_values(config).items():
            OmegaConf.update(config, path, value, force_add=True)
        is_delivered = self._deliver(config.tracking, sweep, multirun)
        if exit_status := exit_status or (0 if is_delivered else 3):
            sys.exit(exit_status)

    def _deliver(self, tracking: DictConfig, sweep: Sweep, multirun: Path) -> bool:
        """Deliver the runs to MLflow; returns whether MLflow now has all of them."""
        if tracking.name == "none":
            return True
        from src.tracking.session import Tracker  # imports mlflow, which is slow

        settings = Tracking(tracking.name, tracking.uri, tracking.experiment, tracking.system_metrics)
        tracker = Tracker(settings, sweep, multirun, say)
        try:
            tracker.open()
        except BadInput as refusal:
            say(str(refusal))
            return False
        return tracker.close()
