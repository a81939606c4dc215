"""What a test decides: outcomes, quotas, faults and the time."""

from __future__ import annotations
