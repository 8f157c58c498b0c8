"""The address of the MLflow store; told and tried without importing MLflow.

A database's address may hold a password, as MLflow wants it, in `MLFLOW_TRACKING_URI` alone: what is typed or
configured is kept in logs.  Whatever is shown or stored goes through `shown` or `reason`.
"""

import os
import re
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit
from urllib.request import getproxies

from src.bad_input import BadInput, masked
from src.options import Tracking

MIGRATIONS = "store/db_migrations/versions/*.py"  # in MLflow's folder: a file for each version of its tables
PROBE = 5  # seconds that a server has to answer
# The databases that MLflow opens, and their ports; None where a name need not be a host.
DATABASES = {"sqlite": None, "postgresql": 5432, "mysql": 3306, "mssql": None}
# What MLflow opens by itself; since 3.13 no longer a folder (`file:` or a bare path).
SCHEMES = (*DATABASES, "http", "https", "databricks", "databricks-uc", "uc")
EXAMPLES = "sqlite:///FILE, http://HOST:PORT, postgresql://HOST/DATABASE"
WITHOUT = "tracking=none to go on without"


def store_uri(settings: Tracking) -> str:
    """The store's address: the configuration's, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the current folder.

    Raises:
        BadInput: where `~` names a user who does not exist.
    """
    uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri()
    head, slashes, path = uri.partition(":///")
    if not (head.startswith("sqlite") and path.startswith("~")):
        return uri
    try:
        return f"{head}{slashes}{Path(path).expanduser()}"
    except RuntimeError as error:
        raise BadInput(f"{uri}: {error}", "sqlite:///FILE") from error


def default_uri() -> str:
    """The store that a bare `mlflow ui` shows; without its folder where an address would misread the folder's name."""
    place = str(Path.cwd() / "mlflow.db")
    return f"sqlite:///{place if place.isprintable() and not re.search('[?%]', place) else 'mlflow.db'}"


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store; None for another store, and for SQLite's own kind of address."""
    scheme, colon, place = uri.partition(":///")
    path, _, query = place.partition("?")
    if not colon or scheme.partition("+")[0] != "sqlite" or (path.startswith("file:") and "uri=" in query):
        return None
    return Path(path)


def is_database(uri: str) -> bool:
    """Whether a store is a database that this process opens itself."""
    return uri.partition(":")[0].partition("+")[0] in DATABASES


def shown(uri: str) -> str:
    """An address as it may be printed and stored: with `***` for a user name and password."""
    return masked(uri)


def reason(error: BaseException, uri: str) -> str:
    """The line of a library's error that says what is wrong with a store, without the secrets of its address.

    Where urllib3 hides the cause behind the address's parts, it is the cause alone.
    """
    lines = (str(error).strip() or type(error).__name__).splitlines()
    said = masked(next((line for line in lines if "Error)" in line), lines[0]))  # SQLAlchemy's: (sqlite3.XError) ...
    cause = re.search(r"\(Caused by (\w+)\([\"']?(?:HTTPS?Connection(?:Pool)?\(.*?\): )?(.*?)[\"']?\)\)$", said)
    if cause:
        said = cause[2].strip("'\" ,") or cause[1]
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", said)
    return said


def _secrets(uri: str) -> set[str]:
    """The user name and password of an address, whole and in the parts that a library may take for something else."""
    before, at, _ = uri.partition("://")[2].rpartition("@")
    if not at or not holds_secret(uri):
        before = ""
    values = [before, *before.split(":", 1), *re.split(r"[@:/?#]", before)]
    values += [value for name, value in parse_qsl(urlsplit(uri).query) if masked(f"?{name}={value}") != value]
    return {text for value in values for text in (value, unquote(value)) if text}


def holds_secret(uri: str) -> bool:
    """Whether an address holds a user name or a password, even where it is mistyped."""
    uri = "".join(uri.split())
    return masked(uri) != uri or ("@" in uri and not re.match(r"(sqlite|file)[\w.+-]*:///", uri))


def refuse_secrets(words: Sequence[str]) -> None:
    """Refuse a command line with a password in it, before anything else could repeat it.

    Raises:
        BadInput: naming the key, and the way on.
    """
    for word in words:
        name, equals, value = word.partition("=")
        address = value if equals and "://" not in name else word
        if holds_secret(address) if name.lower().endswith(("uri", "url")) else "://" in word and holds_secret(address):
            raise _refusal(name if re.fullmatch(r"[\w.+~-]+", name) else "an address", address)


def _refusal(key: str, uri: str) -> BadInput:
    server = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
    database = "MLFLOW_TRACKING_URI in the environment"
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    way_on = server if scheme.startswith("http") else database if scheme in DATABASES else f"{server}; {database}"
    return BadInput(f"{key} holds a user name or password, which logs would keep", "an address without them", way_on)


def check_address(settings: Tracking, typed: str = "tracking.uri") -> None:
    """Refuse a password in the address, a store that MLflow cannot open and a silent server; nothing is created.

    Args:
        settings: holds the address.
        typed: how the user names it, where `settings` holds one.

    Raises:
        BadInput: naming the way on.  A password is never repeated.
    """
    uri = store_uri(settings)
    key = typed if settings.uri else "MLFLOW_TRACKING_URI" if uri != default_uri() else "the store"
    scheme = uri.partition(":")[0].partition("+")[0]
    if holds_secret(uri) and (settings.uri or scheme not in DATABASES):
        raise _refusal(key, uri)
    try:
        parts = urlsplit(uri)
        _ = parts.port  # refuses what is no number
    except ValueError:
        raise BadInput(
            f"{key} is no address", f"{EXAMPLES}; a password's own @ : / ? # as %40 %3A %2F %3F %23"
        ) from None
    way_on = WITHOUT if typed == "tracking.uri" else f"{typed} ADDRESS"
    _check_scheme(uri, key, typed)
    if scheme.startswith("http"):
        _check_server(uri, key, way_on)
    elif scheme == "sqlite":
        _check_file(uri, key, way_on)
    elif scheme in DATABASES:
        _check_port(parts, DATABASES[scheme], f"{key}={shown(uri)}", "a running database", way_on)


def _check_scheme(uri: str, key: str, typed: str) -> None:
    scheme, colon, _ = uri.partition(":")
    known = {*SCHEMES, *(plugin.name for plugin in entry_points(group="mlflow.tracking_store"))} - {"file"}
    if scheme.partition("+")[0] not in known or not (colon or scheme.startswith("databricks")):
        raise BadInput(
            f"{key}={shown(uri)}: MLflow can open no such store",
            f"{EXAMPLES}; no folders since MLflow 3.13",
            f"{typed}=sqlite:///mlflow.db",
        )


def _check_server(uri: str, key: str, way_on: str) -> None:
    """Ask as MLflow's client asks: with its certificates, proxies, log-in and plugins."""
    parts, wanted = urlsplit(uri), "a running MLflow server"
    if not parts.hostname:
        raise BadInput(f"{key}={uri}: no host given", "http://HOST:PORT", way_on)
    if not getproxies():  # the client connects by itself: that nobody listens is found out without importing it
        _check_port(parts, 443 if parts.scheme == "https" else 80, f"{key}={uri}", wanted, way_on)
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            get_default_host_creds(uri), "/health", "GET", timeout=PROBE, max_retries=0, raise_on_status=False
        )
    except Exception as error:  # whatever MLflow, requests or a plugin may raise
        raise BadInput(f"{key}={uri} does not answer: {reason(error, uri)}", wanted, way_on) from error
    with answer:
        if answer.status_code >= 500:  # a proxy, say, that does not reach it; anything else is an answer
            what = f"{key}={uri} does not answer: {answer.status_code} {answer.reason}"
            raise BadInput(what, wanted, way_on)


def _check_port(parts: SplitResult, usual: int | None, shown: str, wanted: str, way_on: str) -> None:
    """A port that nobody listens at: MLflow would try it for minutes."""
    port = parts.port or usual
    if not parts.hostname or not port or "," in parts.hostname or "host=" in parts.query:
        return
    try:
        socket.create_connection((parts.hostname, port), PROBE).close()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no such host, or no answer"
        raise BadInput(f"{shown} does not answer: {why}", wanted, way_on) from None


def _check_file(uri: str, key: str, way_on: str) -> None:
    """A SQLite file that cannot be a store: MLflow would try it for minutes, or make it anew in memory for each use."""
    place, _, query = uri.partition("://")[2].partition("?")
    if place.startswith("/file:") and "uri=" in query:
        return  # SQLite's own kind of address
    told = f"{key}={shown(uri)}"
    if not place.startswith("/") or place in ("/", "/:memory:"):
        raise BadInput(f"{told}: a store is kept in a file", "sqlite:///FILE", way_on)
    if "%" in place or (query and not re.fullmatch(r"[\w.-]+=[^&]*(&[\w.-]+=[^&]*)*", query)):
        raise BadInput(f"{told}: an address misreads ? and % in a file's name", "a path without them", way_on)
    try:
        path = Path(place[1:]).resolve()  # a link may name a file that is not there yet
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        if path.is_dir() or (nearest != path and not nearest.is_dir()):
            raise BadInput(f"{told}: {nearest} is {'a folder' if path.is_dir() else 'no folder'}", "sqlite:///FILE")
        made_here = uri == default_uri() and not path.exists()  # in a folder that src/storage/space.py tries
        if not made_here and not os.access(nearest, os.W_OK):
            raise BadInput(f"{told}: {nearest} cannot be written to", "a file that you may write", way_on)
        if path.exists():  # rw: opened as it is, never made
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", PROBE, uri=True)) as database:
                tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                if "alembic_version" in tables:
                    _check_version(database.execute("SELECT version_num FROM alembic_version").fetchall(), told)
    except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:  # RuntimeError: a link to itself
        what = (error.strerror if isinstance(error, OSError) else None) or str(error)
        allowed = "a SQLite database that nobody has locked"
        raise BadInput(f"{told} cannot be opened: {what}", allowed, way_on) from error


def _check_version(found: list[tuple[str]], told: str) -> None:
    """A database that a later MLflow has made: this one would call it out of date."""
    mlflow = find_spec("mlflow")  # where it is, without importing it
    places = mlflow.submodule_search_locations or [] if mlflow else []
    known = {path.stem.partition("_")[0] for place in places for path in Path(place).glob(MIGRATIONS)}
    if known and not {revision for (revision,) in found} <= known:
        installed = version("mlflow")
        raise BadInput(f"{told} is of a later MLflow than {installed}", "", "pip install --upgrade mlflow")
