"""Choose the device that a job trains on, and how it runs training steps there."""

import contextlib
import functools
import os
import threading
from dataclasses import replace

import torch

from src.bad_input import BadInput
from src.config import Config
from src.data.splits import Scale, Split, Splits, normalise

MOST_FLOAT_BYTES = 2**28  # a dataset that needs more bytes as floats stays bytes in a GPU's memory
_this_thread = threading.local()
_copying = threading.Lock()


def pick_device(name: str) -> torch.device:
    """Return a device by its name; `auto` means the first accelerator, or the CPU if there is no accelerator.

    Raises BadInput if this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    device = torch.device(name)
    available = ["cpu"] + ([accelerator.type] if accelerator else [])
    if device.type not in available or (device.index or 0) >= max(torch.accelerator.device_count(), 1):
        raise BadInput(f"device={name}: this machine has no such device", ", ".join(available), "device=auto")
    return device


def pick_execution(name: str, device: torch.device, *, capturable: bool = True) -> str:
    """Return how training steps run: `eager`, or `graph` for a CUDA graph.

    `auto` means a graph on an NVIDIA GPU, unless the optimizer's step is not `capturable`.  Raises BadInput if a graph
    is required on a device that has none.
    """
    if name == "auto":
        return "graph" if device.type == "cuda" and capturable else "eager"
    if name == "graph" and device.type != "cuda":
        raise BadInput(f"execution=graph needs an NVIDIA GPU, but device={device}", "auto, eager", "execution=auto")
    return name


def device_facts(config: Config, device: torch.device) -> dict[str, str]:
    """Return what a job's journal records: the device's name, how steps run there, and the model of an NVIDIA GPU."""
    execution = pick_execution(config.execution, device, capturable=config.optimizer.capturable)
    facts = {"device": str(device), "execution": execution}
    return facts | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def use_algorithms(device: torch.device, *, deterministic: bool) -> None:
    """Choose the algorithms of this process; with deterministic ones, the same job gives the same bits on a GPU."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic results with cuBLAS
    # This does the same as `torch.use_deterministic_algorithms`, which also imports torch's compiler for 1 to 6 s.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    if device.type == "cuda":
        # Filling new tensors with NaN costs a kernel per tensor, and no step reads a tensor before it writes it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module


def own_stream(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context in which this thread's kernels run on a CUDA stream of its own; no effect on other devices."""
    if device.type != "cuda":
        return contextlib.nullcontext()
    if not hasattr(_this_thread, "stream"):  # torch has 32 streams; a new one per job could belong to a running job
        _this_thread.stream = torch.cuda.Stream(device)
    return torch.cuda.stream(_this_thread.stream)


def images_on(splits: Splits, device: torch.device) -> Splits:
    """Return splits with their images in an NVIDIA GPU's memory, where all jobs of this process share them."""
    return _copy_splits(splits, device) if device.type == "cuda" else splits


def _copy_splits(splits: Splits, device: torch.device) -> Splits:
    """Copy splits to a device; a small dataset's images become floats, so each step launches three fewer kernels."""
    pixels = sum(split.images.numel() for split in (splits.train, splits.validation, splits.test))
    as_floats = 4 * pixels <= MOST_FLOAT_BYTES

    def copied(split: Split) -> Split:
        images = _copy_images(split.images, split.scale if as_floats else None, device)
        return replace(split, images=images, scale=None if as_floats else split.scale).to(device)

    with _copying:
        train, validation, test = copied(splits.train), copied(splits.validation), copied(splits.test)
    # The labels of these two are compared with predictions on the CPU.
    validation = replace(validation, labels=splits.validation.labels)
    test = replace(test, labels=splits.test.labels)
    return replace(splits, train=train, validation=validation, test=test)


@functools.lru_cache(maxsize=3)  # the training, validation and test images of one dataset, whatever its label noise
def _copy_images(images: torch.Tensor, scale: Scale | None, device: torch.device) -> torch.Tensor:
    """Copy images to a device, normalised by `scale` or as they are."""
    return (images if scale is None else normalise(images, scale)).to(device)
