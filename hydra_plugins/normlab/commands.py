"""The installed commands.  They run the package `src` of normlab, and not the `src` of another project."""

import functools
import importlib.util
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def _run_main(module_name: str) -> None:
    """Run the `main` of a module of normlab; exit with status 2 if Python finds another project's `src` first."""
    spec = importlib.util.find_spec("src")
    src_path = Path(spec.origin or next(iter(spec.submodule_search_locations or []), "")) if spec else Path()
    if spec and PROJECT / "src" in (src_path.resolve(), src_path.resolve().parent):
        importlib.import_module(f"src.{module_name}").main()
        return
    print(f"normlab: Python would import the package src of another project: {src_path}", file=sys.stderr)
    print(f"  allowed: {PROJECT / 'src'}, first on Python's path", file=sys.stderr)
    print(f"  try: env -u PYTHONPATH {Path(sys.argv[0]).name} with the same arguments", file=sys.stderr)
    sys.exit(2)


train = functools.partial(_run_main, "train")
compare = functools.partial(_run_main, "compare")
sync = functools.partial(_run_main, "sync")
