"""Python's cyclic garbage collector, kept from going over what imports have made.

A command imports some 300,000 objects that stay until its end.  Left as it is, the collector looks through them again
and again: a quarter of the time that the imports take, and 0.8 s more when the interpreter ends.
"""

import atexit
import gc

OBJECTS = 100_000  # made since the last look; Python's own number is 700 or 2,000


def collect_rarely() -> None:
    """For the rest of the process; what is there when it ends goes with it, unlooked at."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)
