"""The instance types that HealthOmics runs tasks on, and the smallest that is enough.

Source: user guide, "Compute and memory requirements for HealthOmics tasks".
"""

from __future__ import annotations

from dataclasses import dataclass

_VCPUS = {
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "12xlarge": 48,
    "16xlarge": 64,
    "24xlarge": 96,
    "32xlarge": 128,
    "48xlarge": 192,
}
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}


@dataclass(frozen=True, order=True)
class Instance:
    """An instance type for tasks without a GPU, ordered by size: vCPUs first, memory next.

    :param vcpus: its vCPUs.
    :param memory: its memory in GiB.
    :param name: its name, ``"omics.m.2xlarge"``.
    """

    vcpus: int
    memory: int
    name: str


INSTANCES = tuple(
    sorted(
        Instance(vcpus, vcpus * per_vcpu, f"omics.{family}.{size}")
        for size, vcpus in _VCPUS.items()
        for family, per_vcpu in _GIB_PER_VCPU.items()
    )
)
"""All of them, the smallest first."""


def smallest_instance(vcpus: float, memory: float) -> Instance | None:
    """Find the smallest instance that has enough.

    :param vcpus: vCPUs that are needed.
    :param memory: GiB that are needed.
    :return: the instance; None: no instance is large enough.
    """
    return next((each for each in INSTANCES if each.vcpus >= vcpus and each.memory >= memory), None)
