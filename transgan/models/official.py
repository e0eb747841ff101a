"""The old place of transgan.models.official_checkpoints, importable for one more release."""

from transgan.models.official_checkpoints import from_state_dict as from_state_dict
from transgan.models.official_checkpoints import import_official as import_official
