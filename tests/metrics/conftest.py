"""Fixtures of the scoring tests, for metrics of a whole project."""

from tests.scoring.conftest import one_thread, project, ready

__all__ = ["one_thread", "project", "ready"]
