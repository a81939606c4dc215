"""Releases of workflows: a definition and its digest, the requests that create it, and what is there already."""
