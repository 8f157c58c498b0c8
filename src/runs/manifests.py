"""Finds the sweeps in a `multirun` folder by their manifests."""

from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.command import command_name
from src.runs.known_folders import find_renamed_folders
from src.runs.sweep import Sweep, read_sweep
from src.storage.stored import NoAccess, exists
from src.wording import joined


def choose_sweeps(multirun: Path, ids: Sequence[str]) -> list[Sweep]:
    """Return the sweeps whose ids start with one of `ids`, each sweep once; without `ids`, the latest sweep.

    Raises BadInput if there is no sweep, if not exactly one sweep matches an id, or if a manifest cannot be read.
    """
    manifests = _list_manifests(multirun / "sweeps")
    if not manifests:
        raise BadInput(
            f"{multirun / 'sweeps'} contains no sweep yet", write=f"{command_name('train')} -m norm=bn,gn,ln"
        )
    if ids:
        sweeps = [_find_sweep(prefix, manifests) for prefix in ids]
    else:
        sweeps = [max(map(read_sweep, manifests), key=lambda sweep: sweep.started)]
    return [find_renamed_folders(sweep, multirun) for sweep in {sweep.id: sweep for sweep in sweeps}.values()]


def _list_manifests(sweeps: Path) -> list[Path]:
    """Return the paths of all sweeps' manifests, even of a missing manifest if its folder holds other files."""
    try:
        names = sorted(path.name for path in sweeps.iterdir())
    except PermissionError as error:
        raise NoAccess(sweeps) from error
    except OSError:  # the folder does not exist
        return []
    paths = (path for name in names if (path := sweeps / name / "manifest.json").parent.is_dir())
    return [path for path in paths if exists(path) or any(path.parent.glob("[!.]*"))]


def _find_sweep(prefix: str, manifests: Sequence[Path]) -> Sweep:
    """Return the only sweep with an id that starts with the prefix; raises BadInput if none or several match."""
    matches = [path for path in manifests if prefix and path.parent.name.startswith(prefix.lower()[:8])]
    if len(matches) == 1 and (sweep := read_sweep(matches[0])).id.startswith(prefix.lower()):
        return sweep
    names = [path.parent.name for path in (matches if len(matches) > 1 else manifests)]
    raise BadInput(f"--sweep {prefix} does not name exactly one sweep", joined(names, 8), f"--sweep {names[0]}")
