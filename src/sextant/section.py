"""What the tables of a configuration have in common."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data.utc import require_utc


class Section(BaseModel):
    """A table of the configuration: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


ENVIRONMENT_NAME = r"^[A-Z][A-Z0-9_]*$"


def _utc(at: datetime) -> datetime:
    require_utc(at)
    return at


Share = Annotated[Decimal, Field(ge=0, lt=1)]
Positive = Annotated[Decimal, Field(gt=0)]
Utc = Annotated[datetime, AfterValidator(_utc)]
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME)]
