"""The port: requests and answers on the wire, and the AWS services beside HealthOmics."""

from __future__ import annotations
