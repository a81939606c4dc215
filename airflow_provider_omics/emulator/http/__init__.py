"""The door: what comes over the wire, who answers it, and the AWS services beside HealthOmics."""

from __future__ import annotations
