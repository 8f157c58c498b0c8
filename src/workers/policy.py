"""Whether a sweep whose jobs fail goes on."""

import re

from src.config import SweepLimits
from src.workers.processes import Outcome


class Policy:
    """When a sweep whose jobs fail goes on no further."""

    def __init__(self, limits: SweepLimits) -> None:
        self._limits = limits
        self._causes: dict[str, int] = {}
        self.reason = ""

    def go_on(self, outcome: Outcome) -> bool:
        """Whether further jobs are begun after one has ended so."""
        if outcome.error and not self.reason:
            kind = re.sub(r"\d+", "#", outcome.error)  # in whatever step it was
            self._causes[kind] = self._causes.get(kind, 0) + 1
            if self._limits.on_failure == "stop":
                self.reason = "sweep.on_failure=stop and a job has failed"
            elif self._causes[kind] >= self._limits.same_failures:
                self.reason = f"{self._causes[kind]} jobs have failed alike (sweep.same_failures)"
        return not self.reason
