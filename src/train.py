"""Train every combination of what is asked for, track it in MLflow and compare the results.

python -m src.train                                         one run
python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5          six runs, and their comparison
python -m src.train experiment=norms                        a preset
python -m src.train --cfg job norm=gn                       show the configuration, run nothing
"""

import os
import sys
from argparse import Namespace
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser  # Hydra's own reading of the command line; there is no public one
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.bad_input import BadInput
from src.collector import collect_rarely
from src.config import Config
from src.overrides import CONF, check_overrides, check_text, option_groups, parse, values_of
from src.stopping import JobFailed, Terminated, raise_on_sigterm
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


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> float:
    """What a launcher calls for each job; returns the accuracy on the validation split, from 0 to 1."""
    from src.job import run_job  # imports torch, which a mistyped command does not wait for

    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return run_job(config, Path(HydraConfig.get().runtime.output_dir))


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


def main() -> None:
    """The command.

    Exit status: 0 when all is done, 1 for a failed job, 2 for bad input, 3 where every job is finished and MLflow lacks
    something (`python -m src.sync` delivers it), 130 for Ctrl-C, 143 for SIGTERM.
    """
    collect_rarely()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then re-raises, and the answer is given here
    ConfigStore.instance().store(name="schema", node=Config)
    raise_on_sigterm()
    try:
        check_command_line()
        job()
    except (BadInput, HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            raise
        print(refusal(error), file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if wants_traceback or error.filename is None:  # a lost connection, say: no file that could be put right
            raise
        print(BadInput(f"{error.filename}: {error.strerror}", "a current folder to write in"), file=sys.stderr)
        sys.exit(2)
    except JobFailed as error:  # of a sweeper that bears none
        if wants_traceback:
            raise
        print(f"normlab: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Terminated:
        sys.exit(143)


def refusal(error: Exception) -> str:
    """At most three lines; Hydra's own errors open with what is wrong and go on with their grammar."""
    for said in (error, error.__cause__):  # Hydra wraps what a launcher's own check raises
        if isinstance(said, BadInput):
            return str(said)
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    return "\n".join([f"normlab: {lines[0]}", *(f"  {line}" for line in lines[1:3])])


if __name__ == "__main__":
    main()
