"""Fixtures of the command tests: a plan made of datasets alone, shared with the data tests."""

from tests.data.conftest import make_plan

__all__ = ["make_plan"]
