"""Train every requested combination, track the runs in MLflow and compare the results.

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
from typing import TYPE_CHECKING

from src.bad_input import BadInput
from src.command import as_refusal, check_current_folder
from src.startup import prepare_process
from src.stopping import JobFailed, Terminated, raise_on_sigterm
from src.sweep.command_line import check_command_line
from src.sweep.overrides import CONF_FOLDER

# This module imports Hydra and torch only in functions: a mistyped command must not wait for them.
if TYPE_CHECKING:
    from omegaconf import DictConfig


def job(composed: "DictConfig") -> float:
    """Train one job for one of Hydra's own launchers; returns the validation accuracy, 0 to 1."""
    from hydra.core.hydra_config import HydraConfig

    from src.job import run_job
    from src.sweep.trees import to_config

    return run_job(to_config(composed), Path(HydraConfig.get().runtime.output_dir))


def main() -> None:
    """Run the command `python -m src.train`.

    Exit status: 0 for success, 1 if a job or the comparison failed, 2 for bad input, 3 if all jobs finished but MLflow
    lacks something (`python -m src.sync` delivers it), 130 for Ctrl-C, 143 for SIGTERM and SIGHUP.
    """
    prepare_process()
    with _restore_process_at_end():
        _run_command(os.environ.get("HYDRA_FULL_ERROR") == "1")


def _run_command(wants_traceback: bool) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors, and this function prints them
    raise_on_sigterm()
    try:
        check_current_folder()
        check_command_line()
        _run_hydra()
    except KeyboardInterrupt:
        sys.exit(130)
    except Terminated:
        sys.exit(143)
    except Exception as error:
        status, message = _status_and_message(error)
        if not message or (wants_traceback and not isinstance(error, MemoryError)):
            raise
        print(message, file=sys.stderr)
        sys.exit(status)


def _run_hydra() -> None:
    """Run Hydra, which reads the command line and calls the sweeper."""
    import hydra

    import src.sweep.trees  # noqa: F401  # stores a configuration that conf/config.yaml uses

    with _outside_other_hydra():
        hydra.main(version_base="1.3", config_path=str(CONF_FOLDER), config_name="config")(job)()


def _status_and_message(error: Exception) -> tuple[int, str]:
    """Return the exit status and the message for an error; an empty message stands for the traceback."""
    if isinstance(error, BadInput | MemoryError | ModuleNotFoundError):
        return 2, str(as_refusal(error))
    if isinstance(error, OSError):
        problem = BadInput(f"{error.filename}: {error.strerror}", "a current folder that you may write to")
        return 2, str(problem) if error.filename is not None else ""  # a lost connection, for example, names no file
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, HydraException | OmegaConfBaseException):
        return 2, error_message(error)
    if isinstance(error, JobFailed):  # raised by a sweeper that accepts no failed job
        return 1, f"normlab: {error}"
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = {frame.f_globals.get("__name__", "") for frame in frames} - {__name__}
    in_normlab = any(module.startswith(("src.", "hydra_plugins.normlab.")) for module in modules)
    sweep_began = any(frame.f_code.co_name == "sweep" for frame in frames)  # if so, jobs may have run
    return (
        1 if sweep_began else 2,
        "" if in_normlab else f"{error_message(error)}\n  set HYDRA_FULL_ERROR=1 to see the traceback",
    )


@contextlib.contextmanager
def _restore_process_at_end() -> Iterator[None]:
    """Undo the command's changes to its process at its end, because a notebook may call `main` more than once."""
    previous_setting, arguments = os.environ.get("HYDRA_FULL_ERROR"), list(sys.argv)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if previous_setting is not None:
            os.environ["HYDRA_FULL_ERROR"] = previous_setting
        sys.argv[:] = arguments
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _outside_other_hydra() -> Iterator[None]:
    """Hide the Hydra of a notebook for a while, because Hydra refuses to start inside another Hydra."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    stored_configs = dict(ConfigStore.instance().repo)
    outer_hydra, outer_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        ConfigStore.instance().repo = stored_configs
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = outer_hydra, outer_config


def error_message(error: Exception) -> str:
    """Return the first three lines of an error's message; Hydra's errors start with the mistake and add a grammar."""
    for candidate in (error, error.__cause__):  # Hydra wraps errors that a launcher raises
        if isinstance(candidate, BadInput):
            return str(candidate)
    text = str(error.__cause__ or error) or type(error).__name__
    if "${oc.env:" in text:  # the value of an environment variable may be a password
        text = re.sub(r"(?s)Value '.*' (?=of type|is not)", "its value ", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join([f"normlab: {lines[0]}", *(f"  {line}" for line in lines[1:3])])


if __name__ == "__main__":
    main()
