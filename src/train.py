"""Train every combination of what is asked for, track it in MLflow and compare the results.

python -m src.train                                         one run
python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5          six runs, and their comparison
python -m src.train experiment=norms                        a preset
python -m src.train --cfg job norm=gn                       show the configuration, run nothing
"""

import contextlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from src.bad_input import BadInput, out_of_memory
from src.command import check_current_folder
from src.startup import prepare_process
from src.stopping import JobFailed, Terminated, raise_on_sigterm
from src.sweep.command_line import check_command_line
from src.sweep.composer import to_config
from src.sweep.overrides import CONF


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> float:
    """What a launcher calls for each job; returns the accuracy on the validation split, from 0 to 1."""
    from src.job import run_job  # imports torch, which a mistyped command does not wait for

    return run_job(to_config(composed), Path(HydraConfig.get().runtime.output_dir))


def main() -> None:
    """The command.

    Exit status: 0 when all is done, 1 for a failed job or a comparison that could not be made, 2 for bad input, 3 where
    every job is finished and MLflow lacks something (`python -m src.sync` delivers it), 130 for Ctrl-C, 143 for
    SIGTERM and for SIGHUP, unless `nohup` ignores it.
    """
    prepare_process()
    with _process_left_as_found():
        _run(os.environ.get("HYDRA_FULL_ERROR") == "1")


def _run(wants_traceback: bool) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then re-raises, and the answer is given here
    raise_on_sigterm()
    try:
        check_current_folder()
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
    except MemoryError:
        print(out_of_memory(), file=sys.stderr)
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
    except Exception as error:
        functions, ours = _raised_in(error)
        if wants_traceback or ours:
            raise
        print(f"{refusal(error)}\n  HYDRA_FULL_ERROR=1 shows more", file=sys.stderr)
        sys.exit(1 if "sweep" in functions else 2)  # another sweeper than ours may have trained something


def _raised_in(error: Exception) -> tuple[set[str], bool]:
    """The functions that an error came through, and whether code of ours is among them, not counting this module's."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = {frame.f_globals.get("__name__", "") for frame in frames} - {__name__}
    functions = {frame.f_code.co_name for frame in frames}
    return functions, any(module.startswith(("src.", "hydra_plugins.normlab.")) for module in modules)


@contextlib.contextmanager
def _process_left_as_found() -> Iterator[None]:
    """Undo what the command changes in its process: a notebook or a program calls `main` more than once."""
    full_error, words = os.environ.get("HYDRA_FULL_ERROR"), list(sys.argv)
    repo = dict(ConfigStore.instance().repo)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    other, its_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()  # Hydra refuses to start beside another one
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error
        sys.argv[:] = words
        ConfigStore.instance().repo = repo
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = other, its_config
        for number, handler in handlers.items():
            signal.signal(number, handler)


def refusal(error: Exception) -> str:
    """At most three lines; Hydra's own errors open with what is wrong and go on with their grammar."""
    for said in (error, error.__cause__):  # Hydra wraps what a launcher's own check raises
        if isinstance(said, BadInput):
            return str(said)
    text = str(error.__cause__ or error) or type(error).__name__
    if "${oc.env:" in text:  # a variable may hold a password
        text = re.sub(r"(?s)Value '.*' (?=of type|is not)", "its value ", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join([f"normlab: {lines[0]}", *(f"  {line}" for line in lines[1:3])])


if __name__ == "__main__":
    main()
