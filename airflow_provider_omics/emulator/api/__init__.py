"""The operations of HealthOmics, a function each, and the service that they make up."""

from __future__ import annotations
