"""What grading a submission gives."""

from dataclasses import dataclass


@dataclass
class Part:
    """What one cell of tests gave."""

    id: str
    points: float
    most: float
    message: str


@dataclass
class Grade:
    """All parts of one student."""

    student: str
    parts: list[Part]
    manual: dict[str, str]
    notes: list[str]

    @property
    def total(self) -> float:
        return sum(part.points for part in self.parts)
