"""Stop signals: one, several for one reason, and a later one that ends the process."""

import signal

import pytest

from transgan.training import signals
from transgan.training.signals import stop_request


@pytest.fixture(autouse=True)
def usual_effects():
    """Tests that a shell starts in the background inherit that it ignores SIGINT."""
    before = {signum: signal.getsignal(signum) for signum in signals.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_the_first_signal_is_recorded_and_does_not_end_the_process():
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_signals_within_seconds_are_one_request():
    with stop_request() as stop:
        for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(signum)
        assert stop.signum == signal.SIGTERM


def test_a_later_signal_has_its_usual_effect(monkeypatch):
    monkeypatch.setattr(signals, "SAME_REQUEST_SECONDS", -1.0)
    with stop_request():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
