"""Hydra's own keys: which of them can be chosen, and why the others stay as they are."""

from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from src.bad_input import BadInput
from src.sweep.suggestions import did_you_mean, nearest

FOLDER = "the sweeper decides which folder a job has"
OUTSIDE = "its files would lie outside the jobs' folders"
CLOSED = "normlab makes no object from a name in the configuration"
# What can be chosen, each with all that lies below it.
FREE = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.searchpath", "hydra.verbose")
BASIC = ("hydra/sweeper", "basic")  # Hydra's own, which gives each job a folder of its own making
PLUGINS = ("hydra/launcher", "hydra/sweeper")  # groups whose options are plugins
ALLOWED = "hydra/launcher, hydra.launcher.KEY, hydra/sweeper, hydra.sweeper.KEY, hydra.searchpath, hydra.verbose"
# The reason why a key stays as it is, where there is one for it alone.
FIXED = {
    "hydra.mode": "a single run is a sweep of one",
    "hydra.sweep": FOLDER,
    "hydra.run": FOLDER,
    "hydra.job.chdir": FOLDER,
    "hydra.job.env_set": "the command is kept in logs; a variable is set in the shell before it",
    "hydra.output_subdir": "a job writes its own configuration",
    "hydra/job_logging": OUTSIDE,
    "hydra/hydra_logging": OUTSIDE,
    "hydra.job_logging": OUTSIDE,
    "hydra.hydra_logging": OUTSIDE,
    "hydra.callbacks": CLOSED,
    "hydra/callbacks": CLOSED,
}


def is_hydra_key(name: str) -> bool:
    """Whether a group or key is Hydra's own."""
    return name.split(".")[0].split("/")[0] == "hydra"


def check_hydra_key(override: Override) -> None:
    """Refuse a key of Hydra's that stays as it is, and a value that Hydra would answer with a traceback.

    Raises:
        BadInput: with the reason.
    """
    name, line = override.key_or_group, override.input_line or ""
    without = f"the command without {line}"
    if name == "hydra/sweeper" and (override.is_delete() or (name, override.value()) == BASIC):
        raise BadInput(f"{name} cannot be changed so: {FOLDER}", "grid, or another plugin's", "hydra/sweeper=grid")
    for key, reason in FIXED.items():
        if _is_below(name, key):
            raise BadInput(f"{name} cannot be changed: {reason}", write=f"the command without {name}")
    if "_target_" in line:
        raise BadInput(f"{line} cannot be chosen: {CLOSED}", "hydra/launcher=..., hydra/sweeper=...", without)
    if not any(_is_below(name, key) for key in FREE):
        raise BadInput(f"{name} is no key of Hydra's that can be changed", ALLOWED, without)
    if override.is_delete():
        raise BadInput(f"{line}: nothing can be taken out of the configuration", ALLOWED, without)
    if override.is_sweep_override():
        key = name.removeprefix("hydra.sweeper.params.")
        values = line.partition("=")[2]
        write = f"{key}={values}" if key != name else f"{name}={values.split(',')[0]}"
        raise BadInput(f"{name} cannot be swept: it is no part of what a job is", "one value", write)
    if name in ("hydra.launcher", "hydra.sweeper"):
        group = name.replace(".", "/")
        raise BadInput(f"{line} would replace a whole node", f"{group}=..., {name}.KEY=...", without)


def check_plugin(override: Override, options: Sequence[str]) -> None:
    """Refuse a launcher or sweeper that there is not.

    Raises:
        BadInput: with those that there are.
    """
    group, value = override.key_or_group, override.value()
    first = "grid" if group == "hydra/sweeper" else "local"
    # The schemas of our launchers are no choices, and Hydra's own sweeper is refused by `check_hydra_key`.
    known = [option for option in options if not option.endswith("_keys") and (group, option) != BASIC]
    if not isinstance(value, str) or value not in known:
        near = nearest(str(value), known)
        what = f"{group}={'null' if value is None else value} is not known{did_you_mean([near] if near else [])}"
        write = "pip install 'normlab[optuna]'" if value == "optuna" else f"{group}={near or first}"
        raise BadInput(what, ", ".join(known), write)


def _is_below(name: str, key: str) -> bool:
    return name == key or name.startswith((f"{key}.", f"{key}/"))
