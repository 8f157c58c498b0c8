"""The saved view and the images, as a browser shows them on MLflow's real page.

Their formats are the page's own and undocumented: this is what notices that an MLflow release changed them.
"""

import colorsys
import contextlib
import gzip
import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from src.tracking.images import LOGGED_IMAGES_TAG, image_files
from src.tracking.views import IMAGE_KEY, note, sweep_views, view_key

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MNIST = Path(__file__).parents[2] / "src" / "data" / "mnist"
SWEEP = "3f9c2a71d0e845b6"
START_MS = 1_760_000_000_000
EPOCHS = 5
JOBS = [(norm, l1) for norm in ("bn", "gn", "ln") for l1 in ("0", "1e-05")]


@dataclass
class Store:
    """A finished sweep in an MLflow store on disk."""

    uri: str
    experiment_id: str
    folder: Path


def mistakes_png(first: int) -> bytes:
    """Draw a grid of 16 real digits, 64 pixels each, with a label of true and predicted under each."""
    pixels = gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    grid = Image.new("L", (4 * 64, 4 * 78), 255)
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(11)
    for place in range(16):
        index = first + 7 * place
        digit = Image.frombytes("L", (28, 28), pixels[784 * index : 784 * (index + 1)]).resize((62, 62))
        left, top = 64 * (place % 4), 78 * (place // 4)
        grid.paste(digit, (left + 1, top))
        pen.text((left + 32, top + 63), f"{index % 10}→{place % 10} #{index}", 0, font, anchor="ma")
    buffer = io.BytesIO()
    grid.save(buffer, "PNG")
    return buffer.getvalue()


def write_sweep(folder: Path) -> Store:
    """Write one parent and six jobs the way that the delivery does, through MLflow's own client."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment_id = client.create_experiment("normlab", artifact_location=str(folder / "artifacts"))
    parent = client.create_run(experiment_id, START_MS, tags={"kind": "sweep"}, run_name="norm x l1").info.run_id
    for number, (norm, l1) in enumerate(JOBS):
        hue, shade = number // 2 / 3, 0.75 - 0.35 * (number % 2)
        color = "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, 0.45, shade))
        tags = {
            "kind": "job",
            "cell": f"norm={norm} l1={l1}",
            "seed": "0",
            f"sweep.{SWEEP[:8]}": "true",
            "mlflow.parentRunId": parent,
            "mlflow.runColor": color,
        }
        started = START_MS + 60_000 * number
        run = client.create_run(experiment_id, started, tags=tags, run_name=f"{norm} l1={l1} s0").info.run_id
        penalty = 0.0 if l1 == "0" else 0.02 - 0.001 * number
        metrics = []
        for epoch in range(1, EPOCHS + 1):
            error = (0.06 + 0.008 * number) / epoch
            curves = {
                "train/loss": 2.5 * error,
                "train/penalty": penalty / epoch,
                "train/accuracy": 1 - 0.8 * error,
                "val/loss": 1.6 * error + 0.03,
                "val/accuracy": 1 - 0.7 * error - 0.004,
                "time/train_seconds": 9.0 * epoch,
            }
            metrics += [Metric(key, value, started + 9_000 * epoch, epoch) for key, value in curves.items()]
        errors = 80 + 9 * number
        once = {"test/loss": 0.03, "test/accuracy": 1 - errors / 10_000, "test/errors": errors}
        once["best/val_accuracy"] = 0.99 - 0.001 * number
        metrics += [Metric(key, value, started + 50_000, 0) for key, value in once.items()]
        params = [Param("norm.name", norm), Param("reg.l1", l1)]
        for path, content in image_files(mistakes_png(number), f"{number:032x}", IMAGE_KEY, 0, started).items():
            file = folder / "to-log" / Path(path).name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            client.log_artifact(run, str(file), "images")
        client.log_batch(run, metrics, params, [RunTag(*LOGGED_IMAGES_TAG)])
        client.set_terminated(run, "FINISHED", started + 51_000)
    client.set_terminated(parent, "FINISHED", START_MS + 60_000 * len(JOBS))

    views = sweep_views(SWEEP, "norm x l1", ["norm.name", "reg.l1"], START_MS, seeds=1, penalty=True)
    for tag, value in views.items():
        client.set_experiment_tag(experiment_id, tag, value)
    client.set_experiment_tag(experiment_id, "mlflow.note.content", note(experiment_id, views))
    client._tracking_client.store._dispose_engine() if hasattr(client._tracking_client.store, "_dispose_engine") else None
    return Store(uri, experiment_id, folder)


@contextlib.contextmanager
def mlflow_ui(store: Store):
    """Serve the store as `mlflow ui` does, on a free port; yield the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri, "--port", str(port)]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (store.folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--workers", "1"],
            cwd=store.folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its web workers are its children: one signal to the group ends them all
        )
        try:
            deadline = time.monotonic() + 90
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(address + "health", timeout=2):
                    break
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail("mlflow ui did not start:\n" + (store.folder / "server.log").read_text()[-2000:])
                time.sleep(0.2)
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(10)
