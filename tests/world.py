"""Build job folders with made-up numbers, in the form that real jobs leave them."""

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import save

from src.config import Config, Regularization, check_config
from src.data.sources import load
from src.datasets import Data, Synthetic
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.instance import InstanceNorm
from src.norms.ln import LayerNorm
from src.norms.none import NoNorm
from src.options import Adam, Constant, NoTracking
from src.runs.folder import artifact_names
from src.runs.identity import cell_key, code_digest, identity, job_key, job_settings, sweep_id
from src.runs.integrity import PREDICTIONS
from src.runs.journal import Journal, stamp
from src.runs.naming import folder_name, job_name
from src.runs.predictions import Predictions, save_predictions
from src.runs.sweep import PlannedJob, Sweep
from src.storage.files import write_json
from src.storage.stored import sealed

DATA = Synthetic(
    batch_size=8,
    validation=10,
    split_seed=0,
    classes=4,
    channels=1,
    size=28,
    images=40,
    test_images=100,
    noise=0.5,
)
PICTURE = io.BytesIO()
Image.new("RGB", (60, 60)).save(PICTURE, "PNG")
WEIGHTS = save({"classifier.bias": np.zeros(4, dtype=np.float32)})  # weights that no figure shows
FILES = {".png": PICTURE.getvalue(), ".safetensors": WEIGHTS}
NORMS = {
    "none": NoNorm(),
    "bn": BatchNorm(eps=1e-5, momentum=0.1),
    "gn": GroupNorm(eps=1e-5, groups=4),
    "ln": LayerNorm(eps=1e-5),
    "in": InstanceNorm(eps=1e-5),
}


def configuration(norm: str = "bn", seed: int = 0, l1: float = 0.0, l2: float = 0.0, data: Data = DATA) -> Config:
    config = Config(
        norm=replace(NORMS[norm]),
        reg=Regularization(l1=l1, l2=l2),
        optimizer=Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
        schedule=Constant(),
        data=replace(data),
        model=CNN(width=8),
        tracking=NoTracking(),
        epochs=3,
        seed=seed,
        threads=1,
    )
    check_config(config)
    return config


def predict(labels: npt.NDArray[Any], wrong: dict[int, float], classes: int) -> Predictions:
    """Return predictions that are right with confidence 0.9, except for `wrong`, which maps images to confidences."""
    label_ = labels.astype(np.int64)
    predicted = label_.copy()
    confidence = np.full(len(label_), 0.9)
    for index, sure in wrong.items():
        predicted[index] = (label_[index] + 1) % classes
        confidence[index] = sure
    probabilities = np.repeat(((1 - confidence) / (classes - 1))[:, None], classes, axis=1)
    probabilities[np.arange(len(label_)), predicted] = confidence
    return Predictions(label_, predicted, probabilities.astype(np.float32))


class World:
    """A `multirun` folder to which tests add jobs."""

    data = DATA
    configuration = staticmethod(configuration)
    predict = staticmethod(predict)

    def __init__(self, multirun: Path) -> None:
        self.multirun = multirun
        self._code = code_digest()

    def plan(self, config: Config) -> PlannedJob:
        leaves = identity(config, load(config.data).source.digest)
        name = job_name(job_settings(config), ["reg.l1"])
        cell = job_name(job_settings(config), ["reg.l1"], seed=False)
        return PlannedJob(
            key=job_key(leaves),
            folder=folder_name(name, job_key(leaves)),
            label=name,
            cell=cell,
            params={"norm.name": config.norm.name},
        )

    def start(self, config: Config, *, code: str | None = None) -> tuple[Path, Journal]:
        folder = self.multirun / "jobs" / self.plan(config).folder
        folder.mkdir(parents=True)
        source = load(config.data).source
        leaves = identity(config, source.digest)
        journal = Journal(folder / "journal.jsonl")
        journal.append(stamp("start", config=asdict(config), environment={"python": "3.11"}, code=code or self._code))
        noise = {"changed_labels": 7} if config.data.label_noise else {}
        journal.append(
            stamp(
                "ready",
                **noise,
                job=job_key(leaves),
                cell=cell_key(leaves),
                source=asdict(source),
                parameters=15_000 + len(config.norm.name),
                device="cpu",
            )
        )
        return folder, journal

    def finish(
        self,
        config: Config,
        wrong: dict[int, float],
        *,
        val: float = 0.9,
        code: str | None = None,
        seconds: float = 2.0,
        labels: npt.NDArray[Any] | None = None,
    ) -> PlannedJob:
        """Add a finished job whose validation accuracy rises to `val` and which misclassifies `wrong`.

        `labels` replace the test labels of its dataset.
        """
        folder, journal = self.start(config, code=code)
        with journal:
            for epoch in range(1, config.epochs + 1):
                lack = (1 - val) * 2 ** (config.epochs - epoch)
                journal.append(
                    stamp(
                        "epoch",
                        epoch=epoch,
                        metrics={
                            "train/loss": 4 * lack,
                            "train/penalty": 0.5,
                            "train/accuracy": 1 - 1.2 * lack,
                            "val/loss": 3 * lack,
                            "val/accuracy": 1 - lack,
                            "time/train_seconds": seconds / config.epochs,
                        },
                    )
                )
        images = load(config.data)
        predictions = predict(images.test_labels if labels is None else labels, wrong, len(images.source.classes))
        save_predictions(folder / "predictions.npz", predictions)
        accuracy = 1 - len(wrong) / len(predictions)
        metrics = {
            "test/loss": 3 * (1 - accuracy),
            "test/accuracy": accuracy,
            "test/errors": len(wrong),
            "val/loss": 3 * (1 - val),
            "val/accuracy": val,
            "best/val_accuracy": val,
        }
        for name in artifact_names(config.augmentation.name):
            if name != PREDICTIONS:
                (folder / name).write_bytes(FILES.get(Path(name).suffix, b"made up\n"))
        seconds_ = {"train": seconds, "total": seconds + 1}
        result = {"metrics": metrics, "seconds": seconds_, "finished": 1_700_000_000_000}
        write_json(folder / "result.json", sealed(result))
        return self.plan(config)

    def fail(self, config: Config, status: str, error: str) -> PlannedJob:
        _, journal = self.start(config)
        with journal:
            journal.append(stamp("stop", status=status, error=error))
        return self.plan(config)

    def sweep(self, jobs: list[PlannedJob], started: int = 1) -> Sweep:
        sweep = Sweep(sweep_id(job.key for job in jobs), "python -m src.train", started, ["norm.name", "seed"], jobs)
        sweep.write(self.multirun)
        return sweep
