"""The bases of all pydantic models: of what is received from others, and of what the API answers."""

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
    """Base of what is received from others: camelCase names, unknown fields tolerated."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class ResponseModel(BaseModel):
    """Base of the bodies of responses: camelCase names; what is not known is null, never left out."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, json_schema_serialization_defaults_required=True
    )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self.model_dump(mode="json", by_alias=True)
