"""Where a command speaks."""

from rich.console import Console


class SteadyConsole(Console):
    """A console whose reader may go away, as in `... | head -1`: it falls silent, and the work goes on."""

    def on_broken_pipe(self) -> None:
        """Say no more; rich would end the program instead."""
        self.quiet = True
