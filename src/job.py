"""Run one job from its configuration to its result, and save everything in the job's folder."""

import contextlib
import logging
import os
import re
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

import torch
from omegaconf import OmegaConf
from safetensors.torch import save

from src.config import Config
from src.data.images import Images
from src.data.splits import Splits, load_splits
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
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from src.training.samples import augmented_samples

log = logging.getLogger(__name__)


def run_job(config: Config, folder: Path, listener: Listener = print_epochs, *, live: bool = False) -> float:
    """Train and test one job, save everything in its folder, and return its last validation accuracy (0 to 1).

    A finished job is not trained again.  The listener gets the progress each epoch and, if `live`, every half second.
    """
    job = JobFolder(folder)
    try:
        with job_lock(folder):
            result = job.result()
            if result is not None:
                if not is_same_job(job, config):
                    raise RuntimeError(f"{folder} contains another job or a damaged journal; delete it to train again")
                return float(result["metrics"]["val/accuracy"])
            remove_partial_files(folder)
            resume = can_resume(job, config)
            if not resume:
                drop_checkpoints(folder)  # checkpoints of an earlier attempt must be gone before the new journal exists
            with job_log(folder / "train.log", resume), Journal(job.journal, resume=resume) as journal:
                try:
                    return _train_and_test(config, job, journal, listener, live)
                except BaseException as error:
                    log.error("%s", traceback.format_exc())
                    status, reason = outcome(error)
                    with contextlib.suppress(OSError):  # for example, the disk is full
                        journal.append(stamp("stop", status=status, error=reason))
                    raise
    except BaseException as error:
        print(f"{job.display_name}: {': '.join(outcome(error))}", file=sys.stderr)  # a worker's stderr is train.log
        raise


def outcome(error: BaseException) -> tuple[str, str]:
    """Return the status, KILLED or FAILED, and the reason of a job that ended with an error."""
    status = "KILLED" if isinstance(error, KeyboardInterrupt | Terminated) else "FAILED"
    return status, f"{type(error).__name__}: {error}".rstrip(": ")


def _train_and_test(config: Config, job: JobFolder, journal: Journal, listener: Listener, live: bool) -> float:
    start_time = time.perf_counter()
    if journal.has("start"):
        journal.append(stamp("resume", environment=environment(), device=str(pick_device(config.device))))
    else:
        journal.append(stamp("start", config=asdict(config), environment=environment(), code=code_digest()))
    torch.set_num_threads(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic results with cuBLAS
    if torch.are_deterministic_algorithms_enabled() != config.deterministic:  # skips a call that takes 1 s
        torch.use_deterministic_algorithms(config.deterministic)
    device = pick_device(config.device)
    images, splits = load_splits(config.data)
    model = make_network(config, images.source).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    steps = len(splits.train) // config.data.batch_size
    schedule = make_schedule(optimizer, config.schedule, config.epochs, steps)
    write_atomic(job.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)).encode())
    identity_keys = identity(config, images.source.digest)
    key = job_key(identity_keys)
    if re.search(r"-[0-9a-f]{8}$", job.path.name) and not job.path.name.endswith(key[:8]):
        raise RuntimeError(f"the data in {images.source.place} has changed since this job was planned")
    if not journal.has("ready"):
        parameter_count, source = sum(parameter.numel() for parameter in model.parameters()), asdict(images.source)
        keys = {"job": key, "cell": cell_key(identity_keys)}
        journal.append(stamp("ready", **keys, source=source, parameters=parameter_count, device=str(device)))
    checkpoints = Checkpoints(job.path, model=model, optimizer=optimizer, schedule=schedule)
    last_record = checkpoints.restore()
    if last_record is not None:
        journal.append(last_record)  # a job can be killed between its checkpoint and the entry in its journal
    classes = images.source.classes
    augment = config.augmentation.build(len(classes), splits.mean.to(device), splits.deviation.to(device))
    if augment:
        from src.pictures.augmented import write_augmented  # imports Pillow, which other jobs need only at the end

        write_augmented(job.path, *augmented_samples(splits, config, augment, len(classes), device), classes)
    progress = Progress(job.display_name, config.epochs, steps, config.data.batch_size, listener, live=live)
    training = train(
        model,
        splits,
        optimizer,
        schedule,
        config,
        augment=augment,
        first_epoch=last_record["epoch"] + 1 if last_record else 1,
        after_step=progress.step,
    )
    for epoch, metrics in training:
        record = stamp("epoch", epoch=epoch, metrics=metrics)
        checkpoints.save(record)
        journal.append(record)
        progress.epoch(epoch, metrics, images=steps * config.data.batch_size)
    return finish(job, model, splits, images, device, start_time)


def finish(
    job: JobFolder, model: torch.nn.Module, splits: Splits, images: Images, device: torch.device, start_time: float
) -> float:
    """Test the network, save its predictions and weights, then the result, and return the last validation accuracy.

    The result is saved last because a job with a result counts as finished.  `start_time` is from `time.perf_counter`.
    """
    from src.pictures.mistakes import write_mistakes  # imports matplotlib, which training does not need

    epochs = [record["metrics"] for record in job.records() if record["kind"] == "epoch"]
    log_probabilities = predict(model, splits.test, device)
    loss, accuracy = score(log_probabilities, splits.test.labels)
    predicted, probabilities = log_probabilities.argmax(dim=1).numpy(), log_probabilities.exp().numpy()
    predictions = Predictions(splits.test.labels.numpy(), predicted, probabilities)
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
    train_seconds = sum(metrics["time/train_seconds"] for metrics in epochs)
    times = {"train": train_seconds, "total": time.perf_counter() - start_time}
    log.info("test accuracy %.4f, %d errors", accuracy, metrics["test/errors"])
    result = {"metrics": metrics, "seconds": times, "finished": time.time_ns() // 1_000_000}
    write_json(job.result_path, sealed(result))
    drop_checkpoints(job.path)
    return float(metrics["val/accuracy"])
