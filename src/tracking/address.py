"""Reads and checks the address of the MLflow store, and tries to reach the store, without importing MLflow.

Only `MLFLOW_TRACKING_URI` may hold an address with a password, because logs store the command line and the
configuration. All printed texts pass through `redact` or `error_reason`, which hide user names and passwords.
"""

import os
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from src.bad_input import BadInput, redact
from src.options import Tracking

MIGRATIONS = "store/db_migrations/versions/*.py"  # files in MLflow's folder, one for each version of its tables
ANSWER_TIMEOUT = 5  # seconds to wait for a server's answer
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # the kinds of databases that MLflow opens
SCHEMES = {*DATABASES, "http", "https", "databricks", "databricks-uc", "uc"}  # MLflow opens these without a plugin
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}  # not mssql, whose address may lack the host
EXAMPLES = "sqlite:///FILE, http://HOST:PORT, postgresql://HOST/DATABASE"


def store_uri(settings: Tracking) -> str:
    """Return the configured address of the store, else `MLFLOW_TRACKING_URI`, else the address of `./mlflow.db`.

    Raises BadInput if the address has a `~` with an unknown user.
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
    """Return the address of `mlflow.db` in the current folder, with a relative path if `?` or `%` would break it."""
    path = str(Path.cwd() / "mlflow.db")
    return f"sqlite:///{path if path.isprintable() and not re.search('[?%]', path) else 'mlflow.db'}"


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for other stores and for addresses in SQLite's own `file:` form."""
    scheme, colon, path_and_query = uri.partition(":///")
    path, _, query = path_and_query.partition("?")
    if not colon or scheme.partition("+")[0] != "sqlite" or (path.startswith("file:") and "uri=" in query):
        return None
    return Path(path)


def uri_scheme(uri: str) -> str:
    """Return an address's scheme without its driver: `postgresql` for `postgresql+psycopg2://host/db`."""
    return uri.partition(":")[0].partition("+")[0]


def is_database(uri: str) -> bool:
    """Return whether an address names a database, which this process opens without a server of MLflow."""
    return uri_scheme(uri) in DATABASES


def error_reason(error: BaseException, uri: str) -> str:
    """Return the line of a library's error that gives the reason, without the password of the store's address."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    text = redact(next((line for line in lines if "Error)" in line), lines[0]))  # SQLAlchemy's reason
    cause = re.search(r"\(Caused by (\w+)\([\"']?(?:HTTPS?Connection(?:Pool)?\(.*?\): )?(.*?)[\"']?\)\)$", text)
    if cause:  # urllib3 writes the host and the port before the cause
        text = cause[2].strip("'\" ,") or cause[1]
    for secret in sorted(_secret_texts(uri), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text


def _secret_texts(uri: str) -> set[str]:
    """Return the user name and password of an address, and all their parts, because a library may show only a part."""
    login, at, _ = uri.partition("://")[2].rpartition("@")
    if not at or not holds_secret(uri):
        login = ""
    values = [login, *login.split(":", 1), *re.split(r"[@:/?#]", login)]
    values += [value for name, value in parse_qsl(urlsplit(uri).query) if redact(f"?{name}={value}") != value]
    return {text for value in values for text in (value, unquote(value)) if text}


def holds_secret(uri: str) -> bool:
    """Return whether an address holds a user name or a password, even if it is mistyped."""
    uri = "".join(uri.split())
    return redact(uri) != uri or ("@" in uri and not re.match(r"(sqlite|file)[\w.+-]*:///", uri))


def refuse_secrets(words: Sequence[str]) -> None:
    """Raise BadInput if a command line holds a password; call this first, because other messages may repeat it."""
    for word in words:
        name, equals, value = word.partition("=")
        address = value if equals and "://" not in name else word
        if holds_secret(address) if name.lower().endswith(("uri", "url")) else "://" in word and holds_secret(address):
            raise _secret_refusal(name if re.fullmatch(r"[\w.+~-]+", name) else "an address", address)


def _secret_refusal(key: str, uri: str) -> BadInput:
    server = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
    database = "MLFLOW_TRACKING_URI in the environment"
    scheme = uri_scheme(uri).lower()
    advice = server if scheme.startswith("http") else database if scheme in DATABASES else f"{server}; {database}"
    return BadInput(f"{key} contains a login, which logs would store", "an address without it", advice=f"set {advice}")


def check_address(settings: Tracking, option: str = "tracking.uri") -> None:
    """Raise BadInput if the address holds a password, MLflow cannot open the store, or its server does not answer.

    Creates no file. `option` is the option that sets the address.
    """
    from importlib.metadata import entry_points  # slow to import, like those below, and most refusals need none

    uri = store_uri(settings)
    key = option if settings.uri else "MLFLOW_TRACKING_URI" if uri != default_uri() else "the store"
    scheme = uri_scheme(uri)
    if holds_secret(uri) and (settings.uri or scheme not in DATABASES):
        raise _secret_refusal(key, uri)
    try:
        uri_parts = urlsplit(uri)
        _ = uri_parts.port  # raises ValueError for a port that is not a number
    except ValueError:
        allowed = f"{EXAMPLES}; write @ : / ? # in a password as %40 %3A %2F %3F %23"
        raise BadInput(f"{key} is not a valid address", allowed) from None
    address = f"{key}={redact(uri)}"
    write = "tracking=none" if option == "tracking.uri" else f"{option} ADDRESS"
    plugins = {plugin.name for plugin in entry_points(group="mlflow.tracking_store")} - {"file"}
    if scheme not in SCHEMES | plugins or not (":" in uri or scheme.startswith("databricks")):
        allowed = f"{EXAMPLES}; MLflow 3.13 and later cannot open folders"
        raise BadInput(f"{address}: MLflow cannot open this store", allowed, f"{option}=sqlite:///mlflow.db")
    if scheme.startswith("http"):
        _check_server(uri, key, write)
    elif scheme == "sqlite":
        _check_sqlite_file(uri, address, write)
    elif scheme in DATABASES:
        _check_port(uri_parts, address, "the address of a running database", write)


def check_readable(settings: Tracking, option: str) -> None:
    """Raise BadInput as `check_address` does, and if the store is a SQLite file that does not exist."""
    check_address(settings, option)
    uri = store_uri(settings)
    file = sqlite_file(uri)
    if file is not None and not file.exists():  # MLflow would create it
        raise BadInput(f"{redact(uri)}: there is no such file", "the store that holds the runs", f"{option} ADDRESS")


def _check_server(uri: str, key: str, write: str) -> None:
    """Raise BadInput if an MLflow server does not answer MLflow's client, with its certificates, proxies and login."""
    from urllib.request import getproxies

    uri_parts, allowed = urlsplit(uri), "the address of a running MLflow server"
    if not uri_parts.hostname:
        raise BadInput(f"{key}={uri} has no host name", "http://HOST:PORT", write)
    if not getproxies():  # a closed port is reported without importing the client
        _check_port(uri_parts, f"{key}={uri}", allowed, write)
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    options = {"timeout": ANSWER_TIMEOUT, "max_retries": 0, "raise_on_status": False}
    try:
        with http_request(get_default_host_creds(uri), "/health", "GET", **options) as answer:
            if answer.status_code >= 500:  # for example, 502 of a proxy without a server
                raise OSError(f"{answer.status_code} {answer.reason}")
    except Exception as error:  # MLflow, requests or a plugin may raise anything
        raise BadInput(f"{key}={uri} does not answer: {error_reason(error, uri)}", allowed, write) from error


def _check_port(uri_parts: SplitResult, address: str, allowed: str, write: str) -> None:
    """Raise BadInput if no program listens on an address's port, which MLflow would retry for minutes."""
    import socket

    port = uri_parts.port or PORTS.get(uri_scheme(uri_parts.scheme))
    if not uri_parts.hostname or not port or "," in uri_parts.hostname or "host=" in uri_parts.query:
        return
    try:
        socket.create_connection((uri_parts.hostname, port), ANSWER_TIMEOUT).close()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "no such host, or no answer"
        raise BadInput(f"{address} does not answer: {cause}", allowed, write) from None


def _check_sqlite_file(uri: str, address: str, write: str) -> None:
    """Raise BadInput if a SQLite file cannot be a store; MLflow would retry it for minutes or keep data in memory."""
    import sqlite3

    file, _, query = uri.partition("://")[2].partition("?")
    if file.startswith("/file:") and "uri=" in query:
        return  # SQLite's own form, which is not checked
    if not file.startswith("/") or file in ("/", "/:memory:"):
        raise BadInput(f"{address} does not name a file", "sqlite:///FILE", write)
    if "%" in file or (query and not re.fullmatch(r"[\w.-]+=[^&]*(&[\w.-]+=[^&]*)*", query)):
        raise BadInput(f"the file name in {address} contains ? or %", "a path without ? or %", write)
    try:
        path = Path(file[1:]).resolve()  # a link may name a file that does not exist yet
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        if path.is_dir() or (nearest != path and not nearest.is_dir()):
            raise BadInput(f"{address}: {nearest} is {'' if path.is_dir() else 'not '}a folder", "sqlite:///FILE")
        is_new_default = uri == default_uri() and not path.exists()  # `check_space` checks its folder
        if not is_new_default and not os.access(nearest, os.W_OK):
            raise BadInput(f"{address}: {nearest} cannot be written to", "a file that you may write to", write)
        if path.exists():
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", ANSWER_TIMEOUT, uri=True)) as database:
                tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                if ("alembic_version",) in tables:
                    versions = database.execute("SELECT version_num FROM alembic_version").fetchall()
                    _check_version({name for (name,) in versions}, address)
    except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:  # RuntimeError: a link to itself
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        allowed = "a SQLite database that no other program has locked"
        raise BadInput(f"{address} cannot be opened: {cause}", allowed, write) from error


def _check_version(versions: set[str], address: str) -> None:
    """Raise BadInput for a database of a later MLflow, which the installed MLflow would wrongly call out of date."""
    from importlib.metadata import version
    from importlib.util import find_spec

    mlflow = find_spec("mlflow")  # finds MLflow's folder without importing MLflow
    folders = mlflow.submodule_search_locations or [] if mlflow else []
    known_versions = {path.stem.partition("_")[0] for folder in folders for path in Path(folder).glob(MIGRATIONS)}
    if known_versions and not versions <= known_versions:
        raise BadInput(f"{address} needs a later MLflow than {version('mlflow')}", "", "pip install --upgrade mlflow")
