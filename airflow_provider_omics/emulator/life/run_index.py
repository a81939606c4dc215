"""Runs in order, found fast among many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_omics.emulator.life.records import Run


class RunIndex:
    """
    Runs in the order of their creation, counted by status.

    Kept in blocks, so that a page of a rare status among 100,000 runs is found without looking at each.
    """

    BLOCK = 512
    __slots__ = ("_blocks", "counts")

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[dict[int, Run], dict[str, int]]] = {}
        self.counts: dict[str, int] = defaultdict(int)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def add(self, run: Run) -> None:
        """Add a new run: its sequence is above all others."""
        block = self._blocks.get(run.sequence // self.BLOCK)
        if block is None:
            block = self._blocks[run.sequence // self.BLOCK] = ({}, defaultdict(int))
        block[0][run.sequence] = run
        block[1][run.status] += 1
        self.counts[run.status] += 1

    def moved(self, run: Run, before: str) -> None:
        """Note that a run has a new status."""
        counts = self._blocks[run.sequence // self.BLOCK][1]
        counts[before] -= 1
        counts[run.status] += 1
        self.counts[before] -= 1
        self.counts[run.status] += 1

    def remove(self, run: Run) -> None:
        """Take a run out."""
        number = run.sequence // self.BLOCK
        runs, counts = self._blocks[number]
        del runs[run.sequence]
        counts[run.status] -= 1
        self.counts[run.status] -= 1
        if not runs:
            del self._blocks[number]

    def after(self, sequence: int, status: str | None = None) -> Iterator[Run]:
        """Go through the runs created after one, all or those of one status."""
        first = sequence // self.BLOCK
        for number, (runs, counts) in self._blocks.items():
            if number < first or (status is not None and not counts[status]):
                continue
            for run in runs.values():
                if run.sequence > sequence and (status is None or run.status == status):
                    yield run
