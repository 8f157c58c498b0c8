"""The address of the MLflow store; told and tried without importing MLflow."""

import os
from importlib.metadata import entry_points
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from src.bad_input import BadInput
from src.config import Tracking

PROBE = 5  # seconds that a server has to answer
# What MLflow opens by itself; since 3.13 no longer a folder (`file:` or a bare path).
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks", "databricks-uc", "uc")


def store_uri(settings: Tracking) -> str:
    """The store's address: the configuration's, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the current folder."""
    return settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri()


def default_uri() -> str:
    """The store that a bare `mlflow ui` shows."""
    return f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def check_address(settings: Tracking) -> None:
    """Refuse a password in the address, a store that MLflow cannot open and a silent server; nothing is created.

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
    _check_scheme(uri, "tracking.uri" if settings.uri else "MLFLOW_TRACKING_URI")
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


def _check_scheme(uri: str, key: str) -> None:
    scheme, colon, _ = uri.partition(":")
    known = {*SCHEMES, *(plugin.name for plugin in entry_points(group="mlflow.tracking_store"))} - {"file"}
    if scheme.partition("+")[0] not in known or not (colon or scheme.startswith("databricks")):
        shown = f"{key}={uri}" if "@" not in uri else key  # what stands before an @ may be a password
        raise BadInput(
            f"{shown}: MLflow can open no such store",
            "sqlite:///FILE, http://HOST:PORT, postgresql://HOST/DATABASE; no folders since MLflow 3.13",
            "tracking.uri=sqlite:///mlflow.db",
        )
