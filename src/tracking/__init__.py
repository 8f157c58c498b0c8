"""Job folders as MLflow sees them; the only room that imports mlflow."""

import logging
import os

# Read by MLflow when it is imported, which happens in this room alone; what the user chose stands.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # it would stand between the table's rows
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # that a new store gets its tables is no news
# A server that hangs is given up after seconds.  No request is repeated by MLflow itself: a run that is made and whose
# answer is lost would be made twice.  The delivery thread looks what is there and goes on from that.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
logging.getLogger("urllib3").setLevel(logging.ERROR)  # where the user asks for repeats, each would be told at length
# It prints a traceback at every write that fails; the delivery tells what was not delivered, and why.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
