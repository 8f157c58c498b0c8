"""The saved views and the images on MLflow's real page, in a browser.

MLflow does not document their formats: these tests fail if a release changes them. They take about 30 s on two busy
cores, mostly for the page's first load.
"""

import gzip
import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from PIL import Image

from src.pictures.tiles import mistake_grid
from src.runs.predictions import Predictions, worst_mistakes
from src.tracking.charts import IMAGE_KEY, IMAGE_STEP
from src.tracking.job_files import LOGGED_IMAGES_TAG, image_files
from src.tracking.views import TABLE, note_text, sweep_tag, sweep_views, view_key, view_link

pytestmark = pytest.mark.browser

MNIST = Path(__file__).parents[2] / "src" / "data" / "mnist"
COLORS = {"bn": ("#1f77b4", "#7fb5dc"), "gn": ("#d9601a", "#f0a878"), "ln": ("#2e8b45", "#8cc79b")}
SWEEP = "3f9c2a71-d0e845b6"
START_MS = 1_760_000_000_000
EPOCHS = 5
Jobs = Sequence[tuple[str, str, int]]  # norm, l1, seed
JOBS: Jobs = [(norm, "1e-05", seed) for norm in ("bn", "gn", "ln") for seed in (0, 1)]


def mistakes_png(seed: int) -> bytes:
    """A job's grid of 25 mistakes, with real digits and random predictions."""
    dice = np.random.default_rng(seed)
    images = np.frombuffer(gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    probabilities = dice.dirichlet(np.full(10, 0.1), len(labels)).astype(np.float32)
    predictions = Predictions(labels.astype(np.int64), probabilities.argmax(1), probabilities)
    chosen = worst_mistakes(predictions, 25)
    grid = mistake_grid(images.reshape(-1, 1, 28, 28), predictions, chosen, list("0123456789"), 5)
    buffer = io.BytesIO()
    grid.save(buffer, "PNG")
    return buffer.getvalue()


def write_sweep(uri: str, folder: Path, jobs: Jobs, varied: Sequence[str], name: str) -> str:
    """Write a parent and its jobs with MLflow's client, as the delivery does; returns the experiment's id."""
    client = MlflowClient(uri)
    experiment_id = client.create_experiment("normlab")
    parent = client.create_run(experiment_id, START_MS, tags={"kind": "sweep"}, run_name=name).info.run_id
    for number, (norm, l1, seed) in enumerate(jobs):
        tags = {
            "kind": "job",
            "cell": f"norm={norm} l1={l1}",
            "seed": str(seed),
            sweep_tag(SWEEP): "true",
            "mlflow.parentRunId": parent,
            "mlflow.runColor": COLORS[norm][number % 2],
        }
        started = START_MS + 60_000 * number
        run = client.create_run(experiment_id, started, tags=tags, run_name=f"{norm} l1={l1} s{seed}").info.run_id
        write_job(client, run, number, {"norm.name": norm, "reg.l1": l1, "seed": str(seed)}, started, folder)
    client.set_terminated(parent, "FINISHED", START_MS + 60_000 * len(jobs))

    seeds = len({seed for _, _, seed in jobs})
    views = sweep_views(SWEEP, name, varied, START_MS, seeds=seeds, penalty=True, images=len(jobs))
    for tag, value in views.items():
        client.set_experiment_tag(experiment_id, tag, value)
    client.set_experiment_tag(experiment_id, "mlflow.note.content", note_text(experiment_id, views))
    return experiment_id


def write_job(client, run: str, number: int, params: dict[str, str], started: int, folder: Path) -> None:
    """Log five epochs, the final numbers and the picture of a job's mistakes."""
    metrics = []
    for epoch in range(1, EPOCHS + 1):
        error = (0.06 + 0.008 * number) / epoch
        curves = {
            "train/loss": 2.5 * error,
            "train/penalty": 0.0 if params["reg.l1"] == "0" else (0.02 - 0.001 * number) / epoch,
            "train/accuracy": 1 - 0.8 * error,
            "val/loss": 1.6 * error + 0.03,
            "val/accuracy": 0.996 - 0.7 * error,
            "time/train_seconds": 9.0 + number,
        }
        metrics += [Metric(key, value, started + 9_000 * epoch, epoch) for key, value in curves.items()]
    errors = 80 + 9 * number
    once = {
        "test/loss": 0.03 + 0.001 * number,
        "test/accuracy": 1 - errors / 10_000,
        "test/errors": errors,
        "best/val_accuracy": 0.99 - 0.001 * number,
    }
    metrics += [Metric(key, value, started + 50_000, 0) for key, value in once.items()]
    for path, content in image_files(mistakes_png(number), f"job-{number}", started).items():
        file = folder / Path(path).name
        file.write_bytes(content)
        client.log_artifact(run, str(file), str(Path(path).parent))
    client.log_batch(run, metrics, [Param(*param) for param in params.items()], [RunTag(*LOGGED_IMAGES_TAG)])
    client.set_terminated(run, "FINISHED", started + 51_000)


@pytest.fixture(scope="module")
def experiment(browser, running, tmp_path_factory):  # the browser first: without one the server need not start
    running.empty()
    return write_sweep(running.uri, tmp_path_factory.mktemp("sweep"), JOBS, ["norm.name", "seed"], "norm, two seeds")


def card(page, title):
    """The chart with this title."""
    return page.get_by_test_id("experiment-view-compare-runs-card").filter(has_text=re.compile(rf"^\s*{title}"))


def test_the_view_of_a_sweep_shows_its_runs_curves_and_mistakes(page, running, experiment):
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    page.goto(f"{running.uri}/{view_link(experiment, view_key(SWEEP))}")
    for metric in ("val/accuracy", "val/loss", "train/loss", "train/accuracy", "train/penalty"):
        expect(card(page, metric).locator(".scatterlayer .point")).to_have_count(len(JOBS) * EPOCHS)
    expect(card(page, "test/errors").locator(".barlayer .point")).to_have_count(len(JOBS))
    expect(card(page, "Parallel").locator("canvas").first).to_be_visible()
    expect(page.get_by_test_id("experiment-view-compare-runs-card")).to_have_count(8)  # the rest is folded away
    page.wait_for_function(
        "n => [...document.querySelectorAll('[data-testid=experiment-view-compare-runs-card] img')]"
        ".filter(image => image.naturalWidth >= 256 && image.checkVisibility()).length == n",
        arg=len(JOBS),
    )
    expect(page.get_by_test_id("experiment-view-table-run-color")).to_have_count(len(JOBS))  # without the parent
    names = page.locator("a[href*='/runs/']").all_inner_texts()
    assert [name.strip()[-2:] for name in names if name.strip()] == ["s0"] * 3 + ["s1"] * 3
    sections = page.get_by_test_id("experiment-view-compare-runs-section-header").all_inner_texts()
    assert [text.split("(")[0].strip() for text in sections] == [
        "validation accuracy",
        "test result",
        "most confident mistakes",
        "curves",
        "more",
    ]


def test_the_note_leads_to_the_mean_of_the_seeds(page, running, experiment):
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    page.goto(f"{running.uri}/#/experiments/{experiment}/runs?workflowType=machine_learning")
    link = page.get_by_role("link", name="mean of 2 seeds")
    with page.expect_popup() as popup:
        link.click()
    cells = popup.value
    curves_a_cell = 3  # the mean, and the lower and the upper edge of the band around it
    expect(card(cells, "val/accuracy").locator(".scatterlayer .point")).to_have_count(3 * curves_a_cell * EPOCHS)
    expect(card(cells, "test/errors").locator(".barlayer .point")).to_have_count(3)
    expect(cells.get_by_test_id("experiment-view-compare-runs-card")).to_have_count(6)  # no images, no parallel axes
    cells.close()


def test_the_leaderboard_shows_params_and_results_with_the_best_first(page, running, experiment):
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    page.goto(f"{running.uri}/{view_link(experiment, view_key(SWEEP, TABLE))}")
    cell = "[role=row][row-index='{}'] [col-id='{}']"
    last = [0.996 - 0.7 * (0.06 + 0.008 * number) / EPOCHS for number in range(len(JOBS))]
    for row, accuracy in enumerate(sorted(last, reverse=True)):
        shown = page.locator(cell.format(row, "metrics.`val/accuracy`")).first
        expect(shown).to_contain_text(f"{accuracy:g}")
    for column in ("params.`norm.name`", "metrics.`best/val_accuracy`", "metrics.`test/errors`"):
        expect(page.locator(cell.format(0, column)).first).not_to_be_empty()


def test_images_have_the_names_that_mlflow_gives_them(migrated, tmp_path):
    client = MlflowClient(f"sqlite:///{shutil.copy(migrated, tmp_path)}")
    run = client.create_run(client.create_experiment("images", artifact_location=tmp_path.as_uri()))
    client.log_image(run.info.run_id, Image.new("L", (8, 8)), key=IMAGE_KEY, step=IMAGE_STEP, timestamp=START_MS)
    theirs = sorted(file.path for file in client.list_artifacts(run.info.run_id, "images"))
    tags = client.get_run(run.info.run_id).data.tags
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    ours = image_files(buffer.getvalue(), "job", START_MS)
    anonymous = [[re.sub(r"[0-9a-f-]{36}", "ID", path) for path in paths] for paths in (theirs, sorted(ours))]
    assert anonymous[0] == anonymous[1]
    assert LOGGED_IMAGES_TAG in tags.items()


def test_a_second_delivery_of_an_image_writes_the_same_files():
    png = mistakes_png(0)
    first, again = (image_files(png, "job", START_MS) for _ in range(2))
    assert first == again
    assert first.keys().isdisjoint(image_files(png, "another job", START_MS))
    full, thumbnail = sorted(first, key=len)
    assert first[full] == png
    with Image.open(io.BytesIO(first[thumbnail])) as small:
        assert small.width == 264
        assert small.height > 264
