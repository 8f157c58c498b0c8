import os
import signal

import pytest

from src.stopping import Terminated, raise_on_sigterm


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closing_terminal_stops_a_command_once(number):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    raise_on_sigterm()
    with pytest.raises(Terminated):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGHUP)  # the shell and the kernel send one each; the second must not raise


def test_a_command_under_nohup_survives_its_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_sigterm()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
