"""Which sweeps there are below `multirun`, and which of them are meant."""

import os
from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.command import command
from src.runs.known_folders import with_current_folders
from src.runs.sweep import Sweep, read_sweep
from src.storage.stored import NoAccess, exists


def choose_sweeps(multirun: Path, ids: Sequence[str]) -> list[Sweep]:
    """The sweeps whose ids begin so, each once; without ids the one that was asked for last.

    Raises:
        BadInput: where there are none, an id fits none or several, or a manifest cannot be read.
    """
    manifests = _manifests(multirun / "sweeps")
    if not manifests:
        raise BadInput(f"there is no sweep in {multirun / 'sweeps'} yet", write=f"{command('train')} -m norm=bn,gn,ln")
    if not ids:
        latest = max((read_sweep(path) for path in manifests), key=lambda sweep: sweep.started)
        return [with_current_folders(latest, multirun)]
    chosen = [read_sweep(_manifest(prefix, manifests)) for prefix in ids]
    for prefix, sweep in zip(ids, chosen, strict=True):
        if not sweep.id.startswith(prefix.lower()):
            raise _unknown(prefix, manifests)
    return [with_current_folders(sweep, multirun) for sweep in {sweep.id: sweep for sweep in chosen}.values()]


def _manifests(sweeps: Path) -> list[Path]:
    """The manifests that there are, and the missing one of a sweep that has left other files.

    Raises:
        NoAccess: where another user has closed the folder.
    """
    try:
        with os.scandir(sweeps) as found:
            names = sorted(entry.name for entry in found)
    except PermissionError as error:
        raise NoAccess(sweeps) from error
    except OSError:  # no such folder
        return []
    found_or_lost = (path for name in names if (path := sweeps / name / "manifest.json").parent.is_dir())
    return [path for path in found_or_lost if exists(path) or any(path.parent.glob("[!.]*"))]


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
