"""Shows job folders in MLflow. No other room imports mlflow."""

import logging
import os

# MLflow reads these variables when it is imported, and only this room imports it. Variables that the user set win.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # its lines would break up the results table
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # it logs errors that it also raises, and we report those
# Give up after 20 s on a server that hangs. MLflow must not retry: if only the answer is lost, a retry creates a
# second run. The delivery thread checks what arrived and resumes from there.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns about each retry if the user allows retries
