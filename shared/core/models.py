"""The base classes of all pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
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


def faults_of(error: ValidationError, path: str = "", most: int = 5) -> str:
    """Return the faults that validation found, each with its field below `path`, without the values."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    texts = [f"{path}{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults[:most]]
    if (more := len(faults) - most) > 0:
        texts.append(f"and {more} more")
    return "; ".join(texts)
