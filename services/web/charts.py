"""Charts as shapes for an inline SVG, so that a page needs no script for them; each stands beside a table of its figures."""

from collections.abc import Mapping
from typing import NamedTuple

from events.stages import Stage
from projections.board import AGES_DAYS, Standing

WIDTH, ROW_HEIGHT = 320, 28  # in units of the picture: pixels on the narrowest screen
_LABEL, _FIGURE = 112, 44  # left of the bars, and right of them


class Bar(NamedTuple):
    """The part of a row that is one stage's."""

    stage: Stage
    x: float
    width: float


class Row(NamedTuple):
    """The open cases of one age, from so many days up to the next row's."""

    from_days: int
    until_days: int | None
    cases: int
    y: int
    bars: list[Bar]
    end: float


def ageing(stages: Mapping[Stage, Standing]) -> list[Row]:
    """A row for each age, the stages side by side; the longest row takes the whole width."""
    totals = [sum(standing.by_age[number] for standing in stages.values()) for number in range(len(AGES_DAYS))]
    unit = (WIDTH - _LABEL - _FIGURE) / max(*totals, 1)
    rows = []
    for number, (days, until, total) in enumerate(zip(AGES_DAYS, (*AGES_DAYS[1:], None), totals, strict=True)):
        x, bars = float(_LABEL), list[Bar]()
        for stage, standing in stages.items():
            width = standing.by_age[number] * unit
            bars.append(Bar(stage, round(x, 1), round(width, 1)))
            x += width
        rows.append(Row(days, until, total, number * ROW_HEIGHT, bars, round(x + 6, 1)))
    return rows
