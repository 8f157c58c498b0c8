"""Train every combination of what is asked for, track it in MLflow and compare the results.

python -m src.train                                         one run
python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5          six runs, and their comparison
python -m src.train experiment=norms                        a preset
python -m src.train --cfg job norm=gn                       show the configuration, run nothing
"""

import os
import shlex
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser  # Hydra's own reading of the command line; there is no public one
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.bad_input import BadInput
from src.config import Config
from src.overrides import CONF, check_overrides, check_text, option_groups
from src.stopping import Terminated, raise_on_sigterm


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
    arguments = get_args_parser().parse_args()
    if not arguments.shell_completion:
        check_text(arguments.overrides)
        check_overrides([parse(word) for word in arguments.overrides], option_groups())


def parse(word: str) -> Override:
    """One word of the command line as Hydra reads it.

    Raises:
        BadInput: where its value needs quotes.
    """
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        name, _, value = word.partition("=")
        raise BadInput(
            f"{word} cannot be read as KEY=VALUE",
            "a value with spaces, brackets, ~ and the like only in quotes",
            shlex.quote(f'{name}="{value}"'),
        ) from error


def main() -> None:
    """The command.  Exit status: 2 for bad input, 1 for a failed job, 130 for Ctrl-C, 143 for SIGTERM."""
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
    except KeyboardInterrupt:
        sys.exit(130)
    except Terminated:
        sys.exit(143)


def refusal(error: Exception) -> str:
    """At most three lines; Hydra's own errors open with what is wrong and go on with their grammar."""
    if isinstance(error, BadInput):
        return str(error)
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    return "\n".join([f"normlab: {lines[0]}", *(f"  {line}" for line in lines[1:3])])


if __name__ == "__main__":
    main()
