"""Where a job computes."""

import torch

from src.bad_input import BadInput


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first accelerator there is, else the CPU.

    Raises:
        BadInput: where this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    device = torch.device(name)
    there = ["cpu"] + ([accelerator.type] if accelerator else [])
    if device.type not in there or (device.index or 0) >= max(torch.accelerator.device_count(), 1):
        raise BadInput(f"device={name}: this machine has no such device", ", ".join(there), "device=auto")
    return device
