"""Definitions of workflows: a zip archive's engine, main file and parameters."""

from __future__ import annotations
