"""The words of a command, checked before Hydra sees them: it would take some in silence and answer others at length."""

import shlex
import sys
from argparse import Namespace

from hydra._internal.utils import get_args_parser  # Hydra's own reading of the command line; there is no public one
from hydra.core.override_parser.types import Override

from src.bad_input import BadInput
from src.sweep.overrides import check_overrides, check_text, option_groups, parse, values_of
from src.tracking.address import refuse_secrets

FOLDER = "the sweeper decides which folder a job has"
# Hydra's own keys that stay as they are, and why.
FIXED = {
    "hydra.mode": "a single run is a sweep of one",
    "hydra.sweep": FOLDER,
    "hydra.run": FOLDER,
    "hydra.job.chdir": FOLDER,
    "hydra.sweeper._target_": FOLDER,
    "hydra.job.env_set": "the command is kept in logs; a variable is set in the shell before it",
    "hydra.output_subdir": "a job writes its own configuration",
    "hydra/job_logging": "its files would lie outside the jobs' folders",
    "hydra/hydra_logging": "its files would lie outside the jobs' folders",
}


def typed() -> str:
    """The command, as it can be typed again."""
    return shlex.join(["python", "-m", "src.train", *sys.argv[1:]])


def going_on(command: str) -> str:
    """The command that goes on with what this one does: `resume=restart` would set its finished jobs aside again."""
    return shlex.join(word for word in shlex.split(command) if not word.startswith("resume="))


def check_command_line() -> None:
    """Refuse words that Hydra would take in silence or answer at length.

    Raises:
        BadInput: for the first such word.
    """
    refuse_secrets(sys.argv[1:])  # before anybody repeats them
    parser = get_args_parser()
    parser.prog, parser.usage = "normlab", "python -m src.train [-m] [--cfg job] [--help] KEY=VALUE ..."
    arguments = parser.parse_args()
    if arguments.shell_completion:
        return
    check_flags(arguments)
    groups = option_groups()
    check_text(arguments.overrides, groups)
    overrides = [parse(word, groups) for word in arguments.overrides]
    preset = any(override.key_or_group == "experiment" and override.value() for override in overrides)
    for override in overrides:
        check_hydra_key(override)
        name, of_preset, key = override.key_or_group.partition("hydra.sweeper.params.")
        if of_preset and not name and not preset:  # Hydra fails on setting a part of nothing
            way_on = f"{key}={(override.input_line or '').partition('=')[2]}"
            raise BadInput(f"{override.key_or_group} changes a preset, and there is none", "experiment=...", way_on)
    another = any(o.key_or_group == "hydra/sweeper" and o.value() != "grid" for o in overrides)
    check_overrides(overrides, groups, grid=not another)
    for flag in ("cfg", "info", "help"):
        several = [override for override in overrides if override.is_sweep_override()]
        if getattr(arguments, flag) and several:
            first = f"{several[0].key_or_group}={values_of(several[0], groups)[0]}"
            raise BadInput(f"--{flag} shows one configuration, not {several[0].input_line}", "one value a key", first)
    # Hydra fails on what its own defaults list says: no preset.
    nothing = [o.input_line for o in overrides if o.key_or_group == "experiment" and o.value() is None]
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in nothing]


def check_flags(arguments: Namespace) -> None:
    """Refuse flags that Hydra answers with a traceback.

    Raises:
        BadInput: naming them.
    """
    commands = [f"--{flag}" for flag in ("run", "multirun", "cfg", "info") if getattr(arguments, flag)]
    if len(commands) > 1:
        way_on = "--cfg job KEY=VALUE" if arguments.cfg else "-m KEY=A,B"
        raise BadInput(f"{' and '.join(commands)} exclude each other", "one of them", f"python -m src.train {way_on}")
    if arguments.resolve and not (arguments.cfg or arguments.help):
        raise BadInput("--resolve belongs to --cfg", write="--cfg job --resolve")
    if arguments.experimental_rerun:
        raise BadInput("--experimental-rerun is not supported", write="the command again: finished jobs are kept")


def check_hydra_key(override: Override) -> None:
    """Refuse Hydra's own keys that would take a job out of its folder.

    Raises:
        BadInput: with the reason.
    """
    name = override.key_or_group
    if name == "hydra/sweeper" and (override.is_delete() or override.value() == "basic"):  # Hydra's own
        raise BadInput(f"{name} cannot be changed so: {FOLDER}", "grid, or another plugin's", "hydra/sweeper=grid")
    for key, reason in FIXED.items():
        if name == key or name.startswith(f"{key}."):
            raise BadInput(f"{name} cannot be changed: {reason}", write=f"the command without {name}")
