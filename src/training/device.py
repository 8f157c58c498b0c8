"""Choose the device that a job trains on."""

import torch

from src.bad_input import BadInput


def pick_device(name: str) -> torch.device:
    """Return a device by its name; `auto` means the first accelerator, or the CPU if there is no accelerator.

    Raises:
        BadInput: if this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    device = torch.device(name)
    available = ["cpu"] + ([accelerator.type] if accelerator else [])
    if device.type not in available or (device.index or 0) >= max(torch.accelerator.device_count(), 1):
        raise BadInput(f"device={name}: this machine has no such device", ", ".join(available), "device=auto")
    return device
