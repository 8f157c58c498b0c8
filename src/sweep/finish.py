"""What follows a sweep's last job: its comparison; and where another sweeper than ours asked for it, its delivery."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.bad_input import BadInput
from src.console import SteadyConsole, say
from src.options import Tracking
from src.runs.sweep import Sweep, read_sweep
from src.sweep.command_line import study_id
from src.sweep.option_files import gaps


def report(sweep: Sweep, multirun: Path, *, changed: bool = True) -> int:
    """The comparison, which names the jobs that have no result; returns 1 where there are such, else 0."""
    from src.report.comparison import compare

    try:
        comparison = compare([sweep], multirun, sweep.folder(multirun), SteadyConsole(), changed=changed)
    except Exception as error:  # the jobs are finished all the same: a full disk, say, must not hide that
        say(f"the comparison could not be made: {type(error).__name__}: {error}".rstrip(": "))
        return 1
    return int(bool(comparison.records.unfinished))


class StudyEnd(Callback):
    """Compares a study's trials when its sweeper has ended; a grid does so itself."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Hydra's call, unless an error has ended the study."""
        multirun = Path(config.hydra.sweep.dir).parent
        manifest = multirun / "sweeps" / study_id()[:8] / "manifest.json"
        if not manifest.exists():
            return
        try:
            sweep = read_sweep(manifest)
        except BadInput as refusal:  # Hydra makes a warning of any exception but SystemExit
            say(str(refusal))
            sys.exit(1)
        status = report(sweep, multirun)
        for path, value in gaps(config).items():
            OmegaConf.update(config, path, value, force_add=True)
        delivered = self._delivered(config.tracking, sweep, multirun)
        status = status or (0 if delivered else 3)
        if status:
            sys.exit(status)  # Hydra makes a warning of any other exception

    def _delivered(self, tracking: DictConfig, sweep: Sweep, multirun: Path) -> bool:
        if tracking.name == "none":
            return True
        from src.tracking.session import Tracker  # imports mlflow

        settings = Tracking(tracking.name, tracking.uri, tracking.experiment, tracking.system_metrics)
        tracker = Tracker(settings, sweep, multirun, say)
        try:
            tracker.open()
        except BadInput as refusal:
            say(str(refusal))
            return False
        return tracker.close()
