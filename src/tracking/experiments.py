"""Reads the runs of any MLflow experiment, and changes nothing in the store."""

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run

from src.bad_input import BadInput, redact
from src.options import Tracking
from src.runs.external import MAX_NAMED, ExternalRun, make_run
from src.tracking.address import store_uri
from src.tracking.store import refuse_store
from src.wording import counted, shorten

PAGE = 1000  # runs that one request returns


def read_experiment(settings: Tracking, metric: str, by: str) -> tuple[list[ExternalRun], list[str]]:
    """Return the runs of an experiment, and sentences about the runs that are left out.

    The value is the last one of `metric`, the seed is the param `by`, and all other params are settings.  A run failed
    if its status is FAILED, or if its metric is NaN or infinite.  Deleted runs do not count, and neither do runs that
    normlab superseded.  Raises BadInput if the store cannot be read, or if no run has the metric and the seed.
    """
    uri = store_uri(settings)
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(settings.experiment or "")
        if experiment is None:
            names = sorted(found.name for found in client.search_experiments())
            problem = f"{redact(uri)} has no experiment {settings.experiment}"
            raise BadInput(problem, ", ".join(shorten(names, MAX_NAMED)), "--experiment NAME")
        runs = _search_runs(client, experiment)
    except BadInput:
        raise
    except Exception as error:  # a store, its driver or its server may raise any error
        refuse_store(error, uri, "cannot be read", "--experiment")
    return _convert_runs(runs, settings.experiment or "", metric, by)


def _search_runs(client: MlflowClient, experiment: Experiment) -> list[Run]:
    """Return the active runs, oldest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return sorted(runs, key=lambda run: run.info.start_time or 0)


def _convert_runs(runs: list[Run], name: str, metric: str, by: str) -> tuple[list[ExternalRun], list[str]]:
    runs = [run for run in runs if "superseded" not in run.data.tags]
    if not runs:
        raise BadInput(f"the experiment {name} has no runs", "an experiment with finished runs")
    _check_name(
        by, {param for run in runs for param in run.data.params}, f"no run of {name} has the param {by}", "--by"
    )
    metrics = {key for run in runs for key in run.data.metrics}
    _check_name(metric, metrics, f"no run of {name} has the metric {metric}", "--metric")
    with_seed = [run for run in runs if by in run.data.params]
    failed = [run for run in with_seed if run.info.status == "FAILED"]
    finished = [run for run in with_seed if run.info.status == "FINISHED" and metric in run.data.metrics]
    unfinished = sum(run.info.status not in ("FAILED", "FINISHED") for run in with_seed)
    counts = {
        f"without the param {by}": len(runs) - len(with_seed),
        "not finished": unfinished,
        f"without the metric {metric}": len(with_seed) - unfinished - len(failed) - len(finished),
    }
    left_out = [f"{counted(count, 'run')} {reason}" for reason, count in counts.items() if count]
    converted = []
    for run in [*finished, *failed]:
        value = float("nan") if run.info.status == "FAILED" else run.data.metrics[metric]
        params = dict(run.data.params)
        seed = params.pop(by)
        converted.append(make_run(f"{run.info.run_name} ({run.info.run_id[:8]})", value, seed, params))
    return converted, left_out


def _check_name(name: str, known: set[str], problem: str, option: str) -> None:
    if name not in known:
        raise BadInput(problem, ", ".join(shorten(sorted(known), MAX_NAMED)) or "none", f"{option} NAME")
