"""What one job does, from its configuration to its result; everything it leaves is in its folder."""

import contextlib
import logging
import os
import re
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors.torch import save

from src.config import Config
from src.data.images import Images
from src.data.splits import Splits, load_splits
from src.models.cnn import CNN
from src.models.norms import norm_layer
from src.progress import Listener, Progress, print_epochs
from src.runs.checkpoint import Checkpoints, drop_checkpoints
from src.runs.environment import environment
from src.runs.folder import JobFolder
from src.runs.identity import cell_key, code_digest, identity, job_key
from src.runs.journal import Journal, stamp
from src.runs.predictions import Predictions, save_predictions
from src.runs.resume import can_resume, is_same_job
from src.stopping import Terminated
from src.storage.files import remove_partial_files, write_atomic, write_json
from src.storage.lock import job_lock
from src.storage.log import job_log
from src.storage.stored import sealed
from src.training.device import pick_device
from src.training.evaluate import predict, score
from src.training.loop import train
from src.training.optimizers import make_optimizer, make_schedule
from src.training.streams import generator

log = logging.getLogger(__name__)

NETWORKS = {"cnn": CNN}


def run_job(config: Config, folder: Path, listener: Listener = print_epochs, *, live: bool = False) -> float:
    """Train and test one job, and leave everything in its folder; a finished job is not touched.

    Args:
        config: what to train.
        folder: where.
        listener: is told of every epoch, and where `live` of how far the epoch is, each half second.
        live: whether somebody looks on.

    Returns:
        Its accuracy on the validation split, from 0 to 1, after the last epoch.
    """
    job = JobFolder(folder)
    try:
        with job_lock(folder):
            done = job.result()
            if done is not None:
                if not is_same_job(job, config):
                    raise RuntimeError(f"{folder} holds another job, or its journal is harmed: delete it to train anew")
                return float(done["metrics"]["val/accuracy"])
            remove_partial_files(folder)
            resume = can_resume(job, config)
            if not resume:
                drop_checkpoints(folder)  # before the journal that they belong to is begun anew
            with job_log(folder / "train.log", resume), Journal(job.journal, resume=resume) as journal:
                try:
                    return _run(config, job, journal, listener, live)
                except BaseException as error:
                    log.error("%s", traceback.format_exc())
                    status, reason = outcome(error)
                    with contextlib.suppress(OSError):  # a full disk, say; the epochs that stand there count
                        journal.append(stamp("stop", status=status, error=reason))
                    raise
    except BaseException as error:
        print(f"{job.display_name}: {': '.join(outcome(error))}", file=sys.stderr)  # a worker's goes to train.log
        raise


def outcome(error: BaseException) -> tuple[str, str]:
    """The status and the reason of a job that an error has ended."""
    status = "KILLED" if isinstance(error, KeyboardInterrupt | Terminated) else "FAILED"  # sys.exit is no signal
    return status, f"{type(error).__name__}: {error}".rstrip(": ")


def _run(config: Config, job: JobFolder, journal: Journal, listener: Listener, live: bool) -> float:
    began = time.perf_counter()
    if journal.has("start"):
        journal.append(stamp("resume", environment=environment(), device=str(pick_device(config.device))))
    else:
        journal.append(stamp("start", config=asdict(config), environment=environment(), code=code_digest()))
    torch.set_num_threads(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    if torch.are_deterministic_algorithms_enabled() != config.deterministic:  # to set it imports torch's compiler: 1 s
        torch.use_deterministic_algorithms(config.deterministic)
    device = pick_device(config.device)
    images, splits = load_splits(config.data)
    model = make_model(config, images).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, config.optimizer, decay=config.reg.l2)
    steps = len(splits.train) // config.data.batch_size
    schedule = make_schedule(optimizer, config.schedule, config.epochs, steps)
    write_atomic(job.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)).encode())
    ready = made(config, images, model)
    if re.search(r"-[0-9a-f]{8}$", job.path.name) and not job.path.name.endswith(ready["job"][:8]):
        raise RuntimeError(f"the data in {images.source.place} is not what it was when this job was planned")
    if not journal.has("ready"):
        journal.append(stamp("ready", **ready, device=str(device)))
    checkpoints = Checkpoints(job.path, model=model, optimizer=optimizer, schedule=schedule)
    progress = Progress(job.display_name, config.epochs, steps, config.data.batch_size, listener, live=live)
    train(model, splits, optimizer, schedule, config, checkpoints, journal, progress)
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
    what = identity(config, images.source.digest)
    return {
        "job": job_key(what),
        "cell": cell_key(what),
        "source": asdict(images.source),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def finish(
    job: JobFolder, model: torch.nn.Module, splits: Splits, images: Images, device: torch.device, began: float
) -> float:
    """Test once and write what stays; the result is the last file, and its presence means finished.

    `began` is when the job did, by `time.perf_counter`.
    """
    from src.pictures.mistakes import write_mistakes  # imports matplotlib, for the end alone

    epochs = [record["metrics"] for record in job.records() if record["kind"] == "epoch"]
    log_probabilities = predict(model, splits.test, device)
    loss, accuracy = score(log_probabilities, splits.test.labels)
    predictions = Predictions(
        splits.test.labels.numpy(), log_probabilities.argmax(dim=1).numpy(), log_probabilities.exp().numpy()
    )
    write_mistakes(job.path, predictions, images)
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
    result = {"metrics": metrics, "seconds": times, "finished": time.time_ns() // 1_000_000}
    write_json(job.result_path, sealed(result))
    drop_checkpoints(job.path)  # after the result, which needs them no more
    return float(metrics["val/accuracy"])
