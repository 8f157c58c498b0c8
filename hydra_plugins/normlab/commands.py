"""The installed commands: they run the `src` that was installed with them, and no other project's."""

import importlib.util
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def train() -> None:
    """`normlab-train`."""
    _check_source()
    from src.train import main

    main()


def compare() -> None:
    """`normlab-compare`."""
    _check_source()
    from src.compare import main

    main()


def sync() -> None:
    """`normlab-sync`."""
    _check_source()
    from src.sync import main

    main()


def _check_source() -> None:
    """Refuse to run another package of the name `src`, which stands in front of ours on Python's path."""
    found = importlib.util.find_spec("src")
    place = Path(found.origin or next(iter(found.submodule_search_locations or []), "")) if found else Path()
    if found and PROJECT / "src" in (place.resolve(), place.resolve().parent):
        return
    name = Path(sys.argv[0]).name
    print(f"normlab: Python finds another project's src in {place}", file=sys.stderr)
    print(f"  allowed: {PROJECT / 'src'} before it on Python's path", file=sys.stderr)
    print(f"  write: env -u PYTHONPATH {name}, with the same words", file=sys.stderr)
    sys.exit(2)
