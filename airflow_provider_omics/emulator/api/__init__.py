"""The operations of HealthOmics, a function each, and the service that carries them out."""

from __future__ import annotations
