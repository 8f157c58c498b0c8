"""Run one job from its configuration to its result, and save everything in the job's folder."""

import contextlib
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from omegaconf import OmegaConf
from safetensors.torch import save

from src.config import Config, optional_packages
from src.data.label_noise import changed_label_count
from src.data.splits import Splits, load_splits
from src.datasets import Data
from src.progress import Listener, Progress, print_epochs
from src.runs.checkpoint import Checkpoints, drop_checkpoints
from src.runs.environment import environment, package_versions
from src.runs.folder import JobFolder
from src.runs.identity import cell_key, code_digest, identity, job_key
from src.runs.journal import Journal, stamp
from src.runs.predictions import Predictions, save_predictions
from src.runs.resume import can_resume, is_same_job
from src.runs.shapes import EMA_METRICS
from src.stopping import Terminated
from src.storage.files import remove_partial_files, write_atomic, write_json
from src.storage.lock import job_lock
from src.storage.log import job_log
from src.storage.stored import sealed
from src.training.device import device_facts, images_on, own_stream, pick_device, use_algorithms
from src.training.evaluate import predict, score
from src.training.loop import evaluation_state, train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from src.training.penalties import zero_share
from src.training.precise import settle
from src.training.samples import augmented_samples

log = logging.getLogger(__name__)

DrawMistakes = Callable[[Path, Predictions, Data], None]
"""A function that writes pictures of a job's mistakes into its folder, given its predictions and the data's keys."""


def draw_mistakes(folder: Path, predictions: Predictions, data: Data) -> None:
    """Write the pictures and the table of a job's mistakes into its folder."""
    from src.pictures.mistakes import write_mistakes  # imports matplotlib, which training does not need

    write_mistakes(folder, predictions, load_splits(data)[0])


def run_job(
    config: Config,
    folder: Path,
    listener: Listener = print_epochs,
    *,
    live: bool = False,
    draw: DrawMistakes = draw_mistakes,
) -> float:
    """Train and test one job, save everything in its folder, and return its last validation accuracy (0 to 1).

    A finished job is not trained again.  The listener gets the progress each epoch and, if `live`, every half second.
    `draw` draws the pictures of the job's mistakes, by default in this process.
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
                    device = _start(config, journal)
                    with own_stream(device):
                        return _train_and_test(config, job, journal, device, listener, live, draw)
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


def _start(config: Config, journal: Journal) -> torch.device:
    """Record the start of a job or of its continuation, prepare this process for it, and return its device."""
    facts, is_new = environment() | package_versions(optional_packages(config)), not journal.has("start")
    if is_new:  # the record comes first, because a missing device is then a failure of this job
        journal.append(stamp("start", config=asdict(config), environment=facts, code=code_digest()))
    device = pick_device(config.device)
    if not is_new:
        journal.append(stamp("resume", environment=facts, **device_facts(config, device)))
    torch.set_num_threads(config.threads)
    use_algorithms(device, deterministic=device.type == "cuda" and not config.nondeterministic)
    return device


def _train_and_test(
    config: Config,
    job: JobFolder,
    journal: Journal,
    device: torch.device,
    listener: Listener,
    live: bool,
    draw: DrawMistakes,
) -> float:
    start_time = time.perf_counter()
    images, splits = load_splits(config.data)
    splits = images_on(splits, device)
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
        keys: dict[str, str | int] = {"job": key, "cell": cell_key(identity_keys), **device_facts(config, device)}
        if config.data.label_noise:
            keys["changed_labels"] = changed_label_count(config.data, images)
        journal.append(stamp("ready", **keys, source=source, parameters=parameter_count))
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
        if epoch == config.epochs and config.norm.recomputes:
            metrics = settle(model, splits, config, metrics)
        record = stamp("epoch", epoch=epoch, metrics=metrics)
        checkpoints.save(record)
        journal.append(record)
        progress.epoch(epoch, metrics, images=steps * config.data.batch_size)
    with evaluation_state(model, optimizer, splits.train.to(device), config, config.epochs):
        return finish(config, job, model, splits, start_time, draw)


def finish(
    config: Config, job: JobFolder, model: torch.nn.Module, splits: Splits, start_time: float, draw: DrawMistakes
) -> float:
    """Test the network, save its predictions and weights, then the result, and return the last validation accuracy.

    The result is saved last because a job with a result counts as finished.  `start_time` is from `time.perf_counter`.
    """
    epochs = [record["metrics"] for record in job.records() if record["kind"] == "epoch"]
    log_probabilities = predict(model, splits.test, next(model.parameters()).device)
    loss, accuracy = score(log_probabilities, splits.test.labels)
    predicted, probabilities = log_probabilities.argmax(dim=1).numpy(), log_probabilities.exp().numpy()
    predictions = Predictions(splits.test.labels.numpy(), predicted, probabilities)
    draw(job.path, predictions, config.data)
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
        **{name: value for name, value in epochs[-1].items() if name in EMA_METRICS},
    }
    if config.reg.l1_method == "proximal":
        metrics["weights/zeros"] = zero_share(model)
    train_seconds = sum(metrics["time/train_seconds"] for metrics in epochs)
    times = {"train": train_seconds, "total": time.perf_counter() - start_time}
    log.info("test accuracy %.4f, %d errors", accuracy, metrics["test/errors"])
    result = {"metrics": metrics, "seconds": times, "finished": time.time_ns() // 1_000_000}
    write_json(job.result_path, sealed(result))
    drop_checkpoints(job.path)
    return float(metrics["val/accuracy"])
