"""Says which of Hydra's own keys a user may change, and why the others are fixed."""

from collections.abc import Sequence

from src.bad_input import BadInput
from src.sweep.plain_words import AnyOverride
from src.sweep.suggestions import closest, did_you_mean

NO_FOLDERS = "normlab chooses the folder of each job"
NO_FILES = "it would write files outside the jobs' folders"
NO_OBJECTS = "normlab does not create objects from class names in the configuration"
# Hydra's keys and groups that a user may change, with every key below them.
USER_KEYS = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.searchpath", "hydra.verbose")
SEARCHPATH = "hydra.searchpath"
BASIC_SWEEPER = ("hydra/sweeper", "basic")  # Hydra's own sweeper, refused because it chooses the jobs' folders itself
PLUGIN_GROUPS = ("hydra/launcher", "hydra/sweeper")  # the groups whose options are plugins
ALLOWED_KEYS = "hydra/launcher, hydra.launcher.KEY, hydra/sweeper, hydra.sweeper.KEY, hydra.searchpath, hydra.verbose"
# Hydra's keys that a user may not change, each with the reason.
FIXED_KEYS = {
    "hydra.mode": "normlab runs every command as a sweep, even for a single job",
    "hydra.sweep": NO_FOLDERS,
    "hydra.run": NO_FOLDERS,
    "hydra.job.chdir": NO_FOLDERS,
    "hydra.job.env_set": "logs would store the variable's value; set the variable in the shell",
    "hydra.output_subdir": "every job stores its configuration in its own folder",
    "hydra/job_logging": NO_FILES,
    "hydra/hydra_logging": NO_FILES,
    "hydra.job_logging": NO_FILES,
    "hydra.hydra_logging": NO_FILES,
    "hydra.callbacks": NO_OBJECTS,
    "hydra/callbacks": NO_OBJECTS,
}


def is_hydra_key(name: str) -> bool:
    """Whether a group or key belongs to Hydra."""
    return name.split(".")[0].split("/")[0] == "hydra"


def check_hydra_key(override: AnyOverride, *, has_preset: bool) -> None:
    """Raise BadInput for a Hydra key that cannot be changed, or for a value that Hydra answers with a traceback."""
    name, line = override.key_or_group, override.input_line or ""
    advice = f"the command without {line}"
    key, values = name.removeprefix("hydra.sweeper.params."), line.partition("=")[2]
    if key != name and not has_preset:  # `params` is empty, and Hydra cannot set a key inside it
        raise BadInput(
            f"{name} changes a preset, but this command chooses none", "experiment=..., paper=...", f"{key}={values}"
        )
    if name == "hydra/sweeper" and (override.is_delete() or (name, override.value()) == BASIC_SWEEPER):
        raise BadInput(f"{line} cannot be used: {NO_FOLDERS}", "grid, or a plugin's sweeper", "hydra/sweeper=grid")
    for fixed_key, reason in FIXED_KEYS.items():
        if _is_key_or_below(name, fixed_key):
            raise BadInput(f"{name} cannot be changed: {reason}", advice=f"the command without {name}")
    if "_target_" in line:
        raise BadInput(f"{line} cannot be used: {NO_OBJECTS}", "hydra/launcher=..., hydra/sweeper=...", advice=advice)
    if not any(_is_key_or_below(name, changeable) for changeable in USER_KEYS):
        raise BadInput(f"{name} is not one of the Hydra keys that you may change", ALLOWED_KEYS, advice=advice)
    if override.is_delete():
        raise BadInput(f"{line}: a key cannot be removed from the configuration", ALLOWED_KEYS, advice=advice)
    if override.is_sweep_override():
        suggestion = f"{key}={values}" if key != name else f"{name}={values.split(',')[0]}"
        raise BadInput(f"{name} cannot be swept: it applies to the whole command", "one value", suggestion)
    if name in ("hydra.launcher", "hydra.sweeper"):
        group = name.replace(".", "/")
        raise BadInput(f"{line} would replace all keys of {name}", f"{group}=..., {name}.KEY=...", advice=advice)


def check_plugin(override: AnyOverride, options: Sequence[str]) -> None:
    """Raise BadInput, with the known names, for an unknown launcher or sweeper."""
    group, value = override.key_or_group, override.value()
    # `..._keys` are schemas of normlab's launchers, not options; `check_hydra_key` refuses Hydra's basic sweeper.
    names = [option for option in options if not option.endswith("_keys") and (group, option) != BASIC_SWEEPER]
    if not isinstance(value, str) or value not in names:
        suggestion = closest(str(value), names)
        problem = f"{group}={'null' if value is None else value} is not known{did_you_mean(suggestion)}"
        correction = f"{group}={suggestion or ('grid' if group == 'hydra/sweeper' else 'local')}"
        raise BadInput(problem, ", ".join(names), "pip install 'normlab[optuna]'" if value == "optuna" else correction)


def _is_key_or_below(name: str, key: str) -> bool:
    return name == key or name.startswith((f"{key}.", f"{key}/"))
