"""What one job does, from its configuration to its result; everything it leaves is in its folder."""

import contextlib
import csv
import io
import logging
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save

from src.comparison.galleries import mistake_grid
from src.comparison.mistakes import per_class, worst_mistakes
from src.config import Config
from src.data.images import Images
from src.data.sources import load
from src.data.splits import Splits, make_splits
from src.models.cnn import CNN
from src.models.norms import norm_layer
from src.runs.environment import environment
from src.runs.files import write_atomic, write_json
from src.runs.folder import JobFolder
from src.runs.identity import cell_key, code_digest, identity, job_key
from src.runs.journal import Journal
from src.runs.predictions import Predictions, save_predictions
from src.training.device import pick_device
from src.training.evaluate import predict, score
from src.training.loop import train
from src.training.optimizers import make_optimizer, make_schedule
from src.training.progress import Progress
from src.training.streams import generator

log = logging.getLogger(__name__)

NETWORKS = {"cnn": CNN}


def run_job(config: Config, folder: Path) -> float:
    """Train and test one job, and leave everything in its folder; a finished job is not touched.

    Returns:
        Its accuracy on the validation split, from 0 to 1, after the last epoch.
    """
    job = JobFolder(folder)
    done = job.result()
    if done is not None:
        return float(done["metrics"]["val/accuracy"])
    folder.mkdir(parents=True, exist_ok=True)
    with job_log(folder / "train.log"), Journal(job.journal) as journal:
        journal.append("start", config=asdict(config), environment=environment(), code=code_digest())
        try:
            return _run(config, job, journal)
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            log.error("%s", traceback.format_exc())
            journal.append("stop", status=status, error="".join(traceback.format_exception_only(error)).strip())
            raise


def _run(config: Config, job: JobFolder, journal: Journal) -> float:
    began = time.perf_counter()
    torch.set_num_threads(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.use_deterministic_algorithms(config.deterministic)
    device = pick_device(config.device)
    images = load(config.data)
    splits = make_splits(config.data, images)
    model = make_model(config, images).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, config.optimizer, decay=config.reg.l2)
    steps = len(splits.train) // config.data.batch_size
    schedule = make_schedule(optimizer, config.schedule, config.epochs, steps)
    write_atomic(job.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)).encode())
    journal.append("ready", **made(config, images, model), device=str(device))
    name = job.path.name.rpartition("-")[0].replace("_", " ")
    with Progress(name, config.epochs, steps, config.data.batch_size) as progress:
        train(model, splits, optimizer, schedule, config, journal, progress)
    return finish(job, model, splits, images, device, began)


def make_model(config: Config, images: Images) -> CNN:
    """The network for these images; its first weights depend on the seed alone."""
    source = images.source
    return NETWORKS[config.model.name](
        source.channels,
        len(source.classes),
        config.model.width,
        norm_layer(config.norm),
        config.reg.dropout,
        generator(config.seed, "weights"),
    )


def made(config: Config, images: Images, model: torch.nn.Module) -> dict[str, Any]:
    """Which job this is now that its data is known, and how large its network is."""
    leaves = identity(config, images.source.digest)
    return {
        "job": job_key(leaves),
        "cell": cell_key(leaves),
        "source": asdict(images.source),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def finish(
    job: JobFolder, model: torch.nn.Module, splits: Splits, images: Images, device: torch.device, began: float
) -> float:
    """Test once and write what stays; the result is the last file, and its presence means finished.

    `began` is when the job did, by `time.perf_counter`.
    """
    epochs = [record["metrics"] for record in job.records() if record["kind"] == "epoch"]
    log_probabilities = predict(model, splits.test, device)
    loss, accuracy = score(log_probabilities, splits.test.labels)
    predictions = Predictions(
        splits.test.labels.numpy(), log_probabilities.argmax(dim=1).numpy(), log_probabilities.exp().numpy()
    )
    write_pictures(job.path, predictions, images)
    save_predictions(job.path / "predictions.npz", predictions)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_atomic(job.path / "weights.safetensors", save(weights))
    metrics = {
        "test/loss": loss,
        "test/accuracy": accuracy,
        "test/errors": int(predictions.wrong.sum()),
        "val/loss": epochs[-1]["val/loss"],
        "val/accuracy": epochs[-1]["val/accuracy"],
        "best/val_accuracy": max(metrics["val/accuracy"] for metrics in epochs),
    }
    training = sum(metrics["time/train_seconds"] for metrics in epochs)
    times = {"train": training, "total": time.perf_counter() - began}
    log.info("test accuracy %.4f, %d errors", accuracy, metrics["test/errors"])
    write_json(job.result_path, {"metrics": metrics, "seconds": times, "finished": time.time_ns() // 1_000_000})
    return float(metrics["val/accuracy"])


def write_pictures(folder: Path, predictions: Predictions, images: Images) -> None:
    """The worst mistakes, the confusion matrix and the accuracy of each class."""
    from src.comparison.figures import confusion_matrix, png  # imports matplotlib, for the end alone

    classes = images.source.classes
    for name, rows, columns in (("misclassified.png", 5, 5), ("misclassified_2x5.png", 2, 5)):
        chosen = worst_mistakes(predictions, rows * columns)
        grid = mistake_grid(images.test_images, predictions, chosen, classes, columns)
        write_atomic(folder / name, _png(grid))
    write_atomic(folder / "confusion_matrix.png", png(confusion_matrix(predictions, classes)))
    table = io.StringIO()
    rows_ = per_class(predictions, classes)
    writer = csv.DictWriter(table, fieldnames=list(rows_[0]))
    writer.writeheader()
    writer.writerows(rows_)
    write_atomic(folder / "per_class.csv", table.getvalue().encode())


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def job_log(path: Path) -> Iterator[None]:
    """Everything logged meanwhile, warnings too, goes to a job's `train.log`."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
