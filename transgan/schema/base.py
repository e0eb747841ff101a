"""What every configuration class shares: frozen, and no unknown keys."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of all configuration: immutable, refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def plain(self) -> dict[str, Any]:
        """The configuration as JSON-compatible data, defaults filled in: what fingerprints are taken of."""
        return self.model_dump(mode="json")
