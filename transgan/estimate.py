"""The old place of transgan.cost.estimate, kept for one release."""

from transgan.cost.estimate import Counter as Counter
from transgan.cost.estimate import estimate as estimate
