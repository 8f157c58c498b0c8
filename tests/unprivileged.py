"""What a user without root's rights is told; tests that run as root would pass over every closed door."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
NOBODY, SKIP = 65534, 77


def refusal_without_privileges(imports: str, call: str) -> str:
    """What a call says as it refuses; root gives its rights up once all is imported.

    Args:
        imports: statements that bring what the call needs.
        call: an expression.
    """
    code = f"""
import os, sys
from src.bad_input import BadInput
{imports}
if os.geteuid() == 0:
    try:
        os.setgroups([])
        os.setgid({NOBODY})
        os.setuid({NOBODY})
    except PermissionError:
        sys.exit({SKIP})
try:
    {call}
except BadInput as error:
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=PROJECT, capture_output=True, text=True)
    if done.returncode == SKIP:
        pytest.skip("root may not give up its rights here, and root may read and write everything")
    return done.stderr
