"""The old place of transgan.config.plan, kept for one release."""

from transgan.config.fingerprint import REFERENCE_FIELDS as REFERENCE_FIELDS
from transgan.config.fingerprint import STAGE_VERSION as STAGE_VERSION
from transgan.config.fingerprint import digest as digest
from transgan.config.plan import *  # noqa: F403
from transgan.config.plan import Plan as Plan
from transgan.config.plan import Run as Run
from transgan.config.plan import load as load
