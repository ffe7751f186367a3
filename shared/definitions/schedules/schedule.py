"""The schedules in an agent's file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from shared.contract.messages import AgentName, Frozen
from shared.definitions.durations import Duration

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Schedule(
    Frozen, json_schema_extra={"oneOf": [{"required": ["every"]}, {"required": ["cron"]}]}
):
    """The times at which an agent is woken: `every` or `cron`, one of them."""

    name: AgentName = Field(description="unique in the file")
    prompt: str = Field(min_length=1, description="what the agent is to do when it is woken")
    every: Duration | None = Field(
        default=None, description="period, counted from 1970-01-01 00:00 UTC"
    )
    cron: str | None = Field(
        default=None, description="five fields as in crontab, or six with seconds first; in quotes"
    )
    timezone: str = Field(default="UTC", description="of `cron`, such as `Europe/London`")
    overlap: Literal["skip", "queue"] = Field(
        default="skip",
        description="whether a time is skipped while the run of the one before is open",
    )
    missed: Literal["last", "none", "all"] = Field(
        default="last",
        description="which of the times that passed without a scheduler are made up for",
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"'{value}' is no time zone; write one like Europe/London") from error
        return value

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                CronSim(value, _ANY_TIME)
            except CronSimError as error:
                raise ValueError(f"'{value}' is no cron line: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_rhythm(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError("give either 'every' or 'cron'")
        return self
