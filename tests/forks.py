"""Commands in a forked child of a process that has imported their modules: each starts in milliseconds."""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

# For tests that fork: pytest's process has threads, which its forked children do not need.
FORK_WARNING = "ignore:This process .* is multi-threaded:DeprecationWarning"
PROJECT = Path(__file__).parents[1]
SLOW_IMPORTS = ("torch", "torchvision", "mlflow", "sqlalchemy", "matplotlib", "pandas")


def clean_environment() -> dict[str, str]:
    """The machine's environment without what would lead a command elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HYDRA_"))}


def fork_command(folder: Path, module: str, *words: str, **variables: str) -> "CompletedProcess[str]":
    """Run `python -m MODULE WORDS` in a folder as a child of this process, which imports the module."""
    importlib.import_module(module)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            _become(folder, module, words, variables)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for stream in (output, errors):
            stream.seek(0)
        return CompletedProcess([module, *words], status, output.read(), errors.read())


def _become(folder: Path, module: str, words: tuple[str, ...], variables: dict[str, str]) -> None:
    """Run a command in this process, with the streams 1 and 2, and end the process with the command's exit status."""
    status = 1
    try:
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        for name in set(os.environ) - set(clean_environment()):
            del os.environ[name]
        os.environ.update(variables)
        if tracking := sys.modules.get("src.tracking"):
            importlib.reload(tracking)  # it sets MLflow's variables, which a parent that imported it has just lost
        sys.argv = [f"{module.rpartition('.')[2]}.py", *words]
        warnings.resetwarnings()  # pytest turns warnings into errors, a command does not
        sys.modules[module].main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@contextlib.contextmanager
def quick_commands() -> Iterator[Callable[..., "CompletedProcess[str]"]]:
    """Yield a function like `fork_command`, for commands that end before they import a slow module.

    They are children of one process that cannot import `SLOW_IMPORTS`.
    """
    words, pipe = [sys.executable, "-m", "tests.forks"], subprocess.PIPE
    with subprocess.Popen(words, cwd=PROJECT, env=clean_environment(), stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(folder: Path, module: str, *words: str, **variables: str) -> "CompletedProcess[str]":
            server.stdin.write(json.dumps([str(folder), module, words, variables]) + "\n")
            server.stdin.flush()
            return CompletedProcess([module, *words], *json.loads(server.stdout.readline()))

        yield run
        server.stdin.close()


def _serve() -> None:
    sys.modules.update(dict.fromkeys(SLOW_IMPORTS))
    for line in sys.stdin:
        folder, module, words, variables = json.loads(line)
        done = fork_command(Path(folder), module, *words, **variables)
        print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)


if __name__ == "__main__":
    _serve()
