"""The address of the MLflow store; told and tried without importing MLflow."""

import os
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from src.bad_input import BadInput
from src.config import Tracking

PROBE = 5  # seconds that a server has to answer


def store_uri(settings: Tracking) -> str:
    """The store's address: the configuration's, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the current folder."""
    default = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    return settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or default


def check_address(settings: Tracking) -> None:
    """Refuse an address with a password in it, and a server that does not answer; nothing is created.

    Raises:
        BadInput: naming the way on.  A password is never repeated.
    """
    uri = store_uri(settings)
    try:
        parts = urlsplit(uri)
        secret = parts.scheme.startswith("http") and bool(parts.username or parts.password)
    except ValueError:
        raise BadInput("tracking.uri is no address", "sqlite:///FILE, http://HOST:PORT") from None
    if secret:
        raise BadInput(
            "tracking.uri holds a user name or password, which logs would keep",
            "an address without them",
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment",
        )
    if not parts.scheme.startswith("http"):
        return
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=PROBE):
            pass
    except HTTPError:
        pass  # it answers
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BadInput(
            f"tracking.uri={uri} does not answer: {reason}", "a running MLflow server", "tracking=none to go on without"
        ) from error
