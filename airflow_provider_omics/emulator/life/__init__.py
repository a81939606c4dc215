"""Runs and batches in time: their events, their queues, and the traces that they leave."""

from __future__ import annotations
