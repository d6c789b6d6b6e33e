"""The service standard: how long each step may take, on which clock; and what is promised to the citizen.

Issuance is bound by Permendagri 19/2018 art. 3 (24 hours), the fee of zero by UU 24/2013 art. 79A; the steps between are
one working day each. A case is judged by the version that was in force when the target started.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from events.calendar import Calendar, local
from events.stages import ORDER, Stage
from events.working_clock import after_working_time, next_working_instant

TargetName = Literal["recording", "queueing", "printing", "issuance", "collection"]
TARGET_NAMES: tuple[TargetName, ...] = ("recording", "queueing", "printing", "issuance", "collection")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target:
    """The time from reaching one stage to reaching another."""

    name: TargetName
    from_stage: Stage
    to_stage: Stage
    limit: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=366))]
    clock: Literal["working", "calendar"]
    is_breach: bool  # of the office; False: the applicant's affair, it is only listed and reminded of


class Standard(BaseModel):
    """One version of the service standard, with each target once, and each from a stage to a later one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int
    targets: tuple[Target, ...]
    fee_rupiah: Literal[0] = 0  # any other amount is against the law

    @model_validator(mode="after")
    def _each_target_once(self) -> Self:
        if sorted(target.name for target in self.targets) != sorted(TARGET_NAMES):
            raise ValueError(f"a standard has each of these targets once: {', '.join(TARGET_NAMES)}")
        return self

    @model_validator(mode="after")
    def _each_target_can_be_met(self) -> Self:
        for target in self.targets:
            if target.to_stage not in ORDER[1:] or target.from_stage not in ORDER[: ORDER.index(target.to_stage)]:
                raise ValueError(f"{target.name}: {target.to_stage} does not come after {target.from_stage}")
        return self

    def target(self, name: TargetName) -> Target:
        """The target of that name."""
        return next(target for target in self.targets if target.name == name)


def due(target: Target, calendar: Calendar, started: datetime) -> datetime:
    """The instant by which `target` must be met when its clock started at the aware `started`; in the calendar's zone."""
    if target.clock == "working":
        return after_working_time(calendar, started, target.limit)
    return local(calendar, started) + target.limit


def promised(standard: Standard, calendar: Calendar, submitted: datetime) -> datetime:
    """When the citizen may come for the card: the first working instant at or after the issuance due.

    A closing instant counts as working.
    """
    return next_working_instant(calendar, due(standard.target("issuance"), calendar, submitted))


ONE_WORKING_DAY = timedelta(hours=7.5)
STANDARD_V1 = Standard(
    version=1,
    targets=(
        Target("recording", Stage.SUBMITTED, Stage.RECORDED, ONE_WORKING_DAY, "working", is_breach=True),
        Target("queueing", Stage.RECORDED, Stage.QUEUED, ONE_WORKING_DAY, "working", is_breach=True),
        Target("printing", Stage.QUEUED, Stage.PRINTED, ONE_WORKING_DAY, "working", is_breach=True),
        Target("issuance", Stage.SUBMITTED, Stage.PRINTED, timedelta(hours=24), "calendar", is_breach=True),
        Target("collection", Stage.PRINTED, Stage.COLLECTED, timedelta(days=30), "calendar", is_breach=False),
    ),
)
