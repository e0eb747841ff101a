"""What every configuration class shares: frozen, and no unknown keys."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Base of all configuration: immutable, refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def plain(self) -> dict[str, Any]:
        """The configuration as JSON-compatible data, defaults filled in: what fingerprints are taken of.

        Options declared with `added_option` are left out while they are off.
        """
        return self.model_dump(mode="json")


def added_option(default: bool | str | tuple[()] | None, **declaration: Any) -> Any:
    """A field added after results existed, which were computed as `default` says.

    With this value the field is left out of `plain()`, so that the fingerprints of finished results stay the same.
    """
    return Field(default, exclude_if=lambda value: value == default, **declaration)
