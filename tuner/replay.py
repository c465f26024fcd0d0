"""Replaying a recorded space: a strategy searches it as if every point were measured anew."""

from __future__ import annotations

from outpace.model import Status
from outpace.tuner.search import Failed, Measured, Record, Strategy
from outpace.tuner.space import Point
from outpace.tuner.spacefiles import RecordedSpace

STATUSES = {
    "InvalidConfig": Status.INVALID,
    "CompilationFailedConfig": Status.BUILD_FAILED,
    "RuntimeFailedConfig": Status.CRASHED,
}
"""What the errors of a cache file of Kernel Tuner are here."""


def outcome_of(recorded: RecordedSpace, point: Point) -> Measured | Failed:
    """What was recorded for a point; KeyError where there is none."""
    row = recorded.space.row_of(point)
    error = recorded.errors.get(row)
    if error is not None:
        return Failed(STATUSES.get(error, Status.CRASHED))
    return Measured(float(recorded.seconds[row]))


def records_of(recorded: RecordedSpace) -> list[Record]:
    """Everything that was recorded, for a strategy that starts from what is known elsewhere."""
    points = recorded.space.points
    assert points is not None
    return [
        Record(
            recorded.space.bind(tuple(point)),
            None if row in recorded.errors else float(recorded.seconds[row]),
            recorded.device,
        )
        for row, point in enumerate(points.tolist())
    ]


def replay(recorded: RecordedSpace, strategy: Strategy, budget: int) -> list[float | None]:
    """Let a strategy search a recorded space.

    Args:
        recorded: The space and what was measured.
        strategy: Fresh, made for `recorded.space`.
        budget: Evaluations; failing points count.

    Returns:
        After each evaluation the best time so far over the smallest recorded one, None before a
        point worked; fewer than `budget` where the space is used up.
    """
    best: float | None = None
    course: list[float | None] = []
    while len(course) < budget and (points := strategy.ask(1)):
        outcome = outcome_of(recorded, points[0])
        strategy.tell(points[0], outcome)
        if isinstance(outcome, Measured):
            best = outcome.seconds if best is None else min(best, outcome.seconds)
        course.append(None if best is None else best / recorded.optimum)
    return course
