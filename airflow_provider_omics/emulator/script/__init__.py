"""The inputs of a test: outcomes, quotas, faults and the clock."""

from __future__ import annotations
