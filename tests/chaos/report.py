"""Say how a run went: the numbers that must be zero, the figures with their bounds, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.figures import Claims, Recovery
from tests.world import Audit

RECOVERY_SECONDS = 30.0
REPEATED_SHARE = 0.2
MAX_DELIVERIES = 5  # the default of MAX_DELIVERIES


@dataclass(slots=True)
class Fell:
    """One fault as it fell: when, on whom, when it had healed."""

    number: int
    kind: str
    at_s: float
    while_posting: bool
    hit: str = ""
    healed_s: float | None = None
    trouble: str | None = None


@dataclass(slots=True, kw_only=True)
class Report:
    """One run."""

    seed: int
    imports: int
    minutes: float
    faults: list[Fell] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    slowest_s: dict[str, float] = field(default_factory=dict)
    unexpected_answers: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    unanswered_but_kept: int = 0
    keys_are_kept: bool = False
    audit: Audit = field(default_factory=Audit)
    wrong_codes: list[str] = field(default_factory=list)
    claims: Claims | None = None
    most_lost_claims: int = 0
    recovery: Recovery | None = None
    dead_letters: int = 0
    processes_left: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def rows(self) -> Iterator[tuple[str, str, str, bool]]:
        """Yield what is judged: name, value, bound, and whether it holds."""
        for kind, found in asdict(self.audit).items():
            bound = "0" if kind != "duplicate_imports" or self.keys_are_kept else "0 (no keys are kept yet)"
            yield kind.replace("_", " "), str(len(found)), bound, not found
        yield "wrong error codes", str(len(self.wrong_codes)), "0", not self.wrong_codes
        yield (
            "answers other than 200, 503",
            str(len(self.unexpected_answers)),
            "0",
            not self.unexpected_answers,
        )
        yield "posts given up", str(len(self.given_up)), "0", not self.given_up
        troubled = [fell for fell in self.faults if fell.trouble and not fell.trouble.startswith("missed")]
        yield "faults that did not heal", str(len(troubled)), "0", not troubled
        yield "processes left", str(len(self.processes_left)), "0", not self.processes_left
        if self.claims is not None:
            most = REPEATED_SHARE * self.imports
            claims = self.claims
            value = (
                f"{claims.repeated} ({claims.made} - {claims.needed} needed - {claims.explained} explained)"
            )
            yield "claims repeated", value, f"≤ {most:g}", claims.repeated <= most
            yield (
                "most claims lost by one",
                str(self.most_lost_claims),
                f"≤ {MAX_DELIVERIES}",
                (self.most_lost_claims <= MAX_DELIVERIES),
            )
        if self.recovery is not None:
            value = (
                f"{self.recovery.seconds:.1f} s ({self.recovery.open_then} open, "
                f"work {self.recovery.work_seconds:.1f} s)"
            )
            held = self.recovery.beyond_work <= RECOVERY_SECONDS
            yield "last end after last healing", value, f"≤ {RECOVERY_SECONDS:g} s + work", held

    @property
    def passed(self) -> bool:
        """Whether everything that is judged holds."""
        return self.claims is not None and all(holds for *_, holds in self.rows())

    def table(self) -> str:
        """Write the summary as a person reads it."""
        rows = list(self.rows())
        wide, middle = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
        lines = [
            f"{'ok ' if holds else 'BAD'}  {name:<{wide}}  {value:<{middle}}  {bound}"
            for name, value, bound, holds in rows
        ]
        posting = sum(fell.while_posting for fell in self.faults)
        missed = sum(fell.trouble is not None and fell.trouble.startswith("missed") for fell in self.faults)
        lines.append(
            f"     {len(self.faults)} faults, {posting} of them while posting, {missed} found nobody to hit"
        )
        told = ", ".join(f"{name}: {count}" for name, count in sorted(self.answers.items()))
        lines.append(f"     answers: {told}")
        slow = ", ".join(f"{name}: {seconds:.2f} s" for name, seconds in sorted(self.slowest_s.items()))
        lines.append(f"     slowest: {slow}")
        lines.append(f"     kept though their answer was lost: {self.unanswered_but_kept} imports")
        lines += [f"     {kind}: {found[:3]}" for kind, found in self.audit.faults().items()]
        details = {"wrong codes": self.wrong_codes, "unexpected": self.unexpected_answers}
        lines += [f"     {kind}: {found[:3]}" for kind, found in details.items() if found]
        lines += [f"     {fell.kind}: {fell.trouble}" for fell in self.faults if fell.trouble]
        verdict = "PASSED" if self.passed else "FAILED"
        return "\n".join(
            [*lines, f"{verdict}: seed {self.seed}, {self.imports} imports, {self.seconds:.0f} s"]
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything, for machines."""
        judged = [
            {"name": name, "value": value, "bound": bound, "holds": holds}
            for name, value, bound, holds in self.rows()
        ]
        return {"passed": self.passed, "judged": judged, **asdict(self)}
