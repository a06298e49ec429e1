"""The base classes of all pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.core.limits import text
from shared.core.times import utc

UtcDatetime = Annotated[datetime, AfterValidator(utc)]
Text = Annotated[str, AfterValidator(text)]


class ReceivedModel(BaseModel):
    """Base of what the app receives: camelCase names, unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class ResponseModel(BaseModel):
    """Base of the bodies of responses: camelCase names; an unknown value is null, never left out."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, json_schema_serialization_defaults_required=True
    )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self.model_dump(mode="json", by_alias=True)
