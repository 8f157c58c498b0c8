"""The jobs of another sweeper are named, resumed and tracked like those of a grid."""

import json
import shutil

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from hydra.types import HydraContext
from mlflow import MlflowClient
from omegaconf import OmegaConf

import src.sweep.trees  # noqa: F401  # stores a configuration that conf/config.yaml uses
from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.bad_input import BadInput
from src.stopping import JobFailed
from src.sweep.finish import StudyEnd
from src.sweep.overrides import CONF_FOLDER

SMALL = ["data=synthetic", "data.images=400", "data.validation=100", "data.test_images=100", "epochs=1"]
SMALL += ["model.width=4"]


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """A launcher as Hydra sets it up, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", "hydra/sweeper=other"])
    with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
        config = compose("config", return_hydra_config=True, overrides=["hydra.job.name=train"])
        OmegaConf.set_readonly(config, False)
        config.hydra.job.config_name = "config"
        context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=None)
        launcher = LocalLauncher(workers=2)
        launcher.setup(hydra_context=context, task_function=lambda _: None, config=config)
        yield launcher
    HydraConfig.instance().cfg = None


def batch(*norms, more=()):
    return [[*SMALL, "tracking=none", f"norm={norm}", *more] for norm in norms]


def manifest(tmp_path):
    (file,) = (tmp_path / "multirun/sweeps").glob("*/manifest.json")
    return json.loads(file.read_text())


def test_the_objectives_have_the_order_of_the_jobs(launcher, tmp_path):
    longer = [["epochs=100" if word == "epochs=1" else word for word in job] for job in batch("bn")]
    first, second, same = launcher.launch([*longer, *batch("gn", "gn")], initial_job_idx=0)
    results = {path.name.split("_")[0]: json.loads((path / "result.json").read_text()) for path in jobs(tmp_path)}
    assert first.return_value == results["bn"]["metrics"]["val/accuracy"] != second.return_value
    assert second.return_value == same.return_value == results["gn"]["metrics"]["val/accuracy"]
    assert results["bn"]["finished"] > results["gn"]["finished"]


def jobs(tmp_path):
    return sorted((tmp_path / "multirun/jobs").iterdir())


def test_batches_make_one_sweep_and_a_job_is_trained_once(launcher, tmp_path):
    launcher.launch(batch("bn", "gn"), initial_job_idx=0)
    before = {path: (path / "result.json").read_bytes() for path in jobs(tmp_path)}
    launcher.launch(batch("gn", "ln"), initial_job_idx=2)
    assert [job["label"].split()[0] for job in manifest(tmp_path)["jobs"]] == ["bn", "gn", "ln"]
    assert manifest(tmp_path)["varies"] == ["norm.name"]
    assert all((path / "result.json").read_bytes() == result for path, result in before.items())
    assert len(jobs(tmp_path)) == 3


def test_a_resumed_study_keeps_its_trials(launcher, tmp_path):
    launcher.launch(batch("bn"), initial_job_idx=0)
    launcher._trials._jobs.clear()  # another process of the same command
    launcher.launch(batch("gn"), initial_job_idx=0)
    assert [job["label"].split()[0] for job in manifest(tmp_path)["jobs"]] == ["bn", "gn"]


def test_a_job_that_fails_or_does_not_start_has_no_objective(launcher, monkeypatch):
    broken = ["optimizer=sgd", "optimizer.lr=1e30", "sweep.on_failure=stop"]
    returns = launcher.launch(batch("bn", "gn", "ln", "none", more=broken), initial_job_idx=0)
    assert [returned.status for returned in returns] == [JobStatus.FAILED] * 4
    with pytest.raises(JobFailed, match="Diverged"):
        _ = returns[0].return_value
    with pytest.raises(JobFailed, match="not started"):
        _ = returns[3].return_value
    (later,) = launcher.launch(batch("in"), initial_job_idx=4)  # another batch of the same sweeper
    with pytest.raises(JobFailed, match="not started"):
        _ = later.return_value


@pytest.mark.parametrize(("name", "content"), [("journal.jsonl", "{}\n"), ("result.json", "no JSON\n")])
def test_a_damaged_trial_is_set_aside_and_retrained(launcher, tmp_path, capsys, name, content):
    (first,) = launcher.launch(batch("bn"), initial_job_idx=0)
    (folder,) = jobs(tmp_path)
    weights = (folder / "weights.safetensors").read_bytes()
    (folder / name).write_text(content)
    (again,) = launcher.launch(batch("bn"), initial_job_idx=1)
    assert again.return_value == first.return_value
    assert (folder / "weights.safetensors").read_bytes() == weights
    assert f"damaged: multirun/jobs/{folder.name}/{name} " in capsys.readouterr().err
    (aside,) = (tmp_path / "multirun/superseded").iterdir()
    assert (aside / name).read_text() == content


@pytest.mark.parametrize("word", ["plan=true", "seeds=2", "seeds=auto", "resume=restart"])
def test_keys_of_a_grid_are_refused(launcher, tmp_path, word):
    with pytest.raises(BadInput, match="work only with the grid sweeper"):
        launcher.launch(batch("bn", more=[word]), initial_job_idx=0)
    assert not list(tmp_path.iterdir())


def test_a_wrong_value_is_refused_before_any_job_starts(launcher, tmp_path):
    with pytest.raises(BadInput, match="does not divide"):
        launcher.launch(batch("bn", "gn", more=["norm.groups=5"])[1:], initial_job_idx=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # as below
def test_a_study_is_one_sweep_in_mlflow_and_is_compared_at_its_end(launcher, tmp_path, migrated, capsys):
    shutil.copy(migrated, tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for first, norms in ((0, ("bn",)), (1, ("gn", "bn"))):
        jobs_of_batch = [[word for word in job if word != "tracking=none"] for job in batch(*norms)]
        launcher.launch(jobs_of_batch, initial_job_idx=first)
    experiment = client.get_experiment_by_name("normlab")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["kind"] for run in runs) == ["job", "job", "sweep"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not list(tmp_path.glob("multirun/sweeps/*/report.html"))
    StudyEnd().on_multirun_end(compose("config", return_hydra_config=True))
    assert len(list(tmp_path.glob("multirun/sweeps/*/report.html"))) == 1
    captured = capsys.readouterr()
    assert "One seed compares" in captured.out
    assert captured.err.count("to open MLflow: ") == 1  # the links are printed once
    assert len(client.search_runs([experiment.experiment_id])) == 3


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # as below
def test_a_study_with_a_failed_job_exits_with_status_1(launcher, tmp_path, migrated, capsys):
    shutil.copy(migrated, tmp_path / "mlflow.db")
    broken = [[*SMALL, "norm=bn", "optimizer=sgd", "optimizer.lr=1e30"]]
    launcher.launch(broken, initial_job_idx=0)
    with pytest.raises(SystemExit) as end:
        StudyEnd().on_multirun_end(compose("config", return_hydra_config=True))
    assert end.value.code == 1
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("normlab").experiment_id])
    assert {run.info.status for run in runs} == {"FAILED"}


def test_an_interval_is_accepted_by_a_search_only(quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", "hydra/sweeper=absent", "reg.l1=interval(-1,1)")
    assert done.returncode == 2
    assert "reg.l1=-1" in done.stderr
    done = quick_command(tmp_path, "src.train", "-m", "hydra/sweeper=absent", "reg.l1=interval(0,1)")
    assert done.returncode == 2
    assert "hydra/sweeper" in done.stderr


@pytest.mark.filterwarnings(
    # MLflow 3.17 uses a deprecated part of SQLAlchemy 2.1.
    "ignore:The ``noload`` loader strategy is deprecated"
)
def test_optuna_searches(command, tmp_path, migrated):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install 'normlab[optuna]'")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.direction=maximize"]
    search += ["hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2"]
    shutil.copy(migrated, tmp_path / "mlflow.db")
    mine = tmp_path / "mine/norm/two.yaml"  # an option outside the package
    mine.parent.mkdir(parents=True)
    mine.write_text("name: gn\ngroups: 2\n")
    search += [f"hydra.searchpath=[file://{mine.parents[1]}]"]
    words = [*SMALL, *search, "norm=bn,two", "reg.l1=tag(log,interval(1e-6,1e-3))"]
    done = command("src.train", "-m", *words)
    assert done.returncode == 0, done.stderr
    best = OmegaConf.load(tmp_path / "multirun/jobs/optimization_results.yaml")
    results = {path: (path / "result.json").read_bytes() for path in jobs(tmp_path) if path.is_dir()}
    assert len(results) == 3
    assert any("groups: 2" in (path / "config.yaml").read_text() for path in results)
    assert best.best_value == max(json.loads(result)["metrics"]["val/accuracy"] for result in results.values())
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("normlab").experiment_id
    runs = client.search_runs([experiment])
    assert len(runs) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert "One seed compares" in done.stdout
    assert len(list(tmp_path.glob("multirun/sweeps/*/report.html"))) == 1
    again = command("src.train", "-m", *words)
    assert again.returncode == 0, again.stderr
    assert {path: (path / "result.json").read_bytes() for path in results} == results
    assert len(client.search_runs([experiment])) == 4
