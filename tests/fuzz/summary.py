"""The outcome of a run of the fuzzer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Summary:
    """The number of responses by route and by credential, each by status, and the first failure by route and kind."""

    mode: str
    seed: int
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    by_credential: dict[str, Counter[int]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: float = 0.0

    def count(self, route: str, credential: str, status: int) -> None:
        self.answers[route][status] += 1
        self.by_credential.setdefault(credential, Counter())[status] += 1

    def fail(self, route: str, kind: str, told: str) -> None:
        """Keep a failure, if it is the first of its route and kind."""
        self.failures.setdefault((route, kind), told)

    def __str__(self) -> str:
        lines = [*_table(self.answers), "", *_table(dict(sorted(self.by_credential.items())))]
        total = sum(statuses.total() for statuses in self.answers.values())
        lines += [f"\n{route}: {kind}\n{told}" for (route, kind), told in self.failures.items()]
        lines.append(
            f"{self.mode}: {len(self.answers)} routes, {total} requests, {len(self.failures)} kinds of failure, "
            f"{self.seconds:.0f} s, seed {self.seed}"
        )
        return "\n".join(lines)


def _table(counted: Mapping[str, Counter[int]]) -> list[str]:
    width = max(map(len, counted))
    return [
        f"{name:<{width}}  {statuses.total():>5}  "
        + "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        for name, statuses in counted.items()
    ]
