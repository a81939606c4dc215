"""Runs and batches in time: what happens to them when, and what they leave behind."""

from __future__ import annotations
