import pytest

from src.config import Tracking
from src.runs.folder import Sweep
from src.stopping import Terminated
from src.tracking.session import Tracker
from src.tracking.sweep_run import SweepRun

# MLflow 3.17 asks SQLAlchemy 2.1 for something that a later one will not have.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.mark.parametrize("signal", [KeyboardInterrupt, Terminated])
def test_a_signal_while_the_store_is_opened_leaves_no_run_running(store, planned, tmp_path, monkeypatch, signal):
    def interrupted(self, verdict):
        raise signal

    monkeypatch.setattr(SweepRun, "_describe", interrupted)  # the run is there by then
    sweep = Sweep("5" * 64, "python -m src.train", 1, ["norm.name"], [planned])
    settings = Tracking("sqlite", f"sqlite:///{tmp_path / 'mlflow.db'}", "normlab")
    with pytest.raises(signal):
        Tracker(settings, sweep, tmp_path / "multirun", lambda line: None).open()
    (run,) = store.find(kind="sweep")
    assert run.info.status == "KILLED"
