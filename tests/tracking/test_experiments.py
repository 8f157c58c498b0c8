"""Reads runs that another program logged to a real store."""

import math
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from src.bad_input import BadInput
from src.options import Tracking
from src.runs.external import sort_into_cells
from src.tracking.address import check_readable
from src.tracking.experiments import read_experiment

METRIC = "val/acc"


@pytest.fixture(scope="module")
def uri(migrated, tmp_path_factory):
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("experiments") / "mlflow.db"))
    client = MlflowClient(tracking_uri=f"sqlite:///{path}")
    experiment = client.create_experiment("theirs")

    def log(params, values=(), status="FINISHED"):
        run_id = client.create_run(experiment).info.run_id
        metrics = [Metric(METRIC, value, 1000 + step, step) for step, value in enumerate(values)]
        client.log_batch(run_id, metrics, [Param(name, str(value)) for name, value in params.items()])
        client.set_terminated(run_id, status)
        return run_id

    for norm, groups, value in (("bn", {}, 0.98), ("gn", {"groups": 8}, 0.97)):
        for seed in range(2):
            log({"norm": norm, "model": "resnet", "seed": seed} | groups, [0.1, value + seed / 1000])
    log({"norm": "gn", "model": "resnet", "seed": 3, "groups": 8}, [0.9], status="FAILED")
    log({"norm": "gn", "model": "resnet", "seed": 4, "groups": 8}, [math.nan])
    log({"norm": "gn", "model": "resnet", "seed": 5, "groups": 8}, [0.5], status="KILLED")
    log({"norm": "gn", "model": "resnet", "seed": 6, "groups": 8})
    log({"sweep": "parent"})
    client.delete_run(log({"norm": "ln", "seed": 0}, [0.5]))
    client.set_tag(log({"norm": "ln", "seed": 1}, [0.5]), "superseded", "true")
    return f"sqlite:///{path}"


def test_params_are_settings_and_the_last_value_of_the_metric_counts(uri):
    runs, left_out = read_experiment(Tracking(uri=uri, experiment="theirs"), METRIC, "seed")
    external = sort_into_cells("theirs", METRIC, "seed", runs)
    assert external.factors == ("norm",)  # all models are the same, and the norm implies the groups
    found = {(cell, run.seed): run.value for cell, run in zip(external.cells, runs, strict=True)}
    expected = {(norm, str(seed)): value + seed / 1000 for norm, value in VALUES for seed in range(2)}
    assert {key: value for key, value in found.items() if not math.isnan(value)} == expected
    assert [key for key, value in found.items() if math.isnan(value)] == [("gn", "4"), ("gn", "3")]
    assert left_out == ["1 run without the param seed", "1 run not finished", f"1 run without the metric {METRIC}"]


VALUES = (("bn", 0.98), ("gn", 0.97))


@pytest.mark.parametrize(
    ("experiment", "metric", "by", "words"),
    [
        ("mine", METRIC, "seed", ["no experiment mine", "theirs"]),
        ("theirs", "test/acc", "seed", ["no run of theirs has the metric test/acc", METRIC]),
        ("theirs", METRIC, "fold", ["no run of theirs has the param fold", "groups, model, norm, seed, sweep"]),
        ("other", METRIC, "seed", ["the experiment other has no runs"]),
    ],
)
def test_a_wrong_name_is_refused_with_the_names_that_exist(uri, experiment, metric, by, words):
    with pytest.raises(BadInput) as refused:
        read_experiment(Tracking(uri=uri, experiment=experiment), metric, by)
    assert all(word in str(refused.value) for word in words), refused.value
    assert len(str(refused.value).splitlines()) <= 3


def test_a_store_that_does_not_exist_is_refused_and_not_created(tmp_path):
    path = tmp_path / "none.db"
    with pytest.raises(BadInput, match="there is no such file"):
        check_readable(Tracking(uri=f"sqlite:///{path}", experiment="theirs"), "--mlflow")
    assert not path.exists()


def test_reading_changes_nothing_in_the_store(uri):
    content = Path(uri.removeprefix("sqlite:///")).read_bytes()
    read_experiment(Tracking(uri=uri, experiment="theirs"), METRIC, "seed")
    assert Path(uri.removeprefix("sqlite:///")).read_bytes() == content
