"""Job folders as MLflow sees them; the only room that imports mlflow."""

import os

# Read by MLflow when it is imported, which happens in this room alone; what the user chose stands.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # it would stand between the table's rows
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # that a new store gets its tables is no news
