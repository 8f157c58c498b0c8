"""Which sweeps there are below `multirun`, and which of them are meant."""

import re
from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.command import command
from src.runs.known_folders import as_called_now
from src.runs.sweep import Sweep, read_sweep


def choose_sweeps(multirun: Path, ids: Sequence[str]) -> list[Sweep]:
    """The sweeps whose ids begin so, each once; without ids the one that was asked for last.

    Raises:
        BadInput: where there are none, an id fits none or several, or a manifest cannot be read.
    """
    manifests = sorted((multirun / "sweeps").glob("*/manifest.json"))
    if not manifests:
        raise BadInput(f"there is no sweep in {multirun / 'sweeps'} yet", write=f"{command('train')} -m norm=bn,gn,ln")
    if not ids:
        latest = max((_read(path) for path in manifests), key=lambda sweep: sweep.started)
        return [as_called_now(latest, multirun)]
    chosen = [_read(_manifest(prefix, manifests)) for prefix in ids]
    for prefix, sweep in zip(ids, chosen, strict=True):
        if not sweep.id.startswith(prefix.lower()):
            raise _unknown(prefix, manifests)
    return [as_called_now(sweep, multirun) for sweep in {sweep.id: sweep for sweep in chosen}.values()]


def _manifest(prefix: str, manifests: Sequence[Path]) -> Path:
    """The one manifest in a folder that begins as the prefix does; folders are named by an id's first 8 digits."""
    found = [path for path in manifests if prefix and path.parent.name.startswith(prefix.lower()[:8])]
    if len(found) == 1:
        return found[0]
    raise _unknown(prefix, found or manifests)


def _unknown(prefix: str, candidates: Sequence[Path]) -> BadInput:
    names = [path.parent.name for path in candidates]
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return BadInput(f"--sweep {prefix} names no single sweep", listed, f"--sweep {names[0]}")


def _read(manifest: Path) -> Sweep:
    try:
        sweep = read_sweep(manifest)
        if not re.fullmatch("[0-9a-f]{64}", sweep.id) or not isinstance(sweep.started, int):
            raise ValueError("no id or no time")
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = " ".join(str(error).split())[:120]
        raise BadInput(
            f"{manifest} cannot be read: {type(error).__name__}: {what}",
            "what the training command wrote",
            "the same training command again: it skips the finished runs",
        ) from error
    return sweep
