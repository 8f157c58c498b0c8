"""Delivers job folders to MLflow. No other package imports mlflow."""

import logging
import os

# MLflow reads these variables when it is imported, and only this package imports it. The user's own values win.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # MLflow's lines would break up the live table
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # MLflow also raises these errors, and normlab reports them
# Give up after 20 s on a server that hangs. MLflow must not retry: if only the answer is lost, a retry creates a
# second run. The delivery thread itself checks which data arrived and sends the missing data.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
logging.getLogger("urllib3").setLevel(logging.ERROR)  # urllib3 would warn about each retry, if the user allows retries
