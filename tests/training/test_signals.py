"""Being told to stop: once, twice for one reason, and again by somebody who cannot wait."""

import signal

import pytest

from transgan.training import signals
from transgan.training.signals import stop_request


@pytest.fixture(autouse=True)
def usual_effects():
    """Whoever starts tests in the background has SIGINT ignored, in them too."""
    before = {signum: signal.getsignal(signum) for signum in signals.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_the_first_signal_is_noted_and_the_process_lives():
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_slurm_and_a_parent_both_send_is_one_request():
    with stop_request() as stop:
        for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(signum)
        assert stop.signum == signal.SIGTERM


def test_one_that_comes_later_has_its_usual_effect(monkeypatch):
    monkeypatch.setattr(signals, "SAME_REQUEST_SECONDS", -1.0)
    with stop_request():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
