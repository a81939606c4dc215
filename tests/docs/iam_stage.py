"""What the flows of the documentation's policies act on: a local HealthOmics, buckets, and a caller that is checked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import ONE_TRY, Ended, perform
from tests.watching_support import World, stepped_world

if TYPE_CHECKING:
    import pytest

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect
    from tests.docs.iam import Iam

SETTING = {
    "workflowId": "1234567",
    "roleArn": "arn:aws:iam::123456789012:role/omics-service",
    "outputUri": "s3://omics-results/outputs/",
}
RUN: dict[str, Any] = {
    "task_id": "run",
    "workflow_id": "1234567",
    "role_arn": SETTING["roleArn"],
    "output_uri": SETTING["outputUri"],
    "botocore_config": ONE_TRY,
}
RESULTS = "s3://omics-results/results/"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
INPUTS_KEY = "arn:aws:kms:us-east-1:123456789012:key/0987dcba-09fe-87dc-65ba-ab0987654321"


class Stage:
    """What a flow acts on.

    :param emulator: the service.
    :param connect: makes the connection.
    :param iam: what stands before the clients once the flow has made its beginnings.
    :param patch: puts it there.
    """

    def __init__(self, emulator: OmicsEmulator, connect: Connect, iam: Iam, patch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.connect = connect
        self.iam = iam
        self.patch = patch
        self.omics: Any = emulator.client()
        self.s3: Any = emulator.client("s3")
        for bucket in ("omics-inputs", "omics-results"):
            self.s3.create_bucket(Bucket=bucket)

    @cached_property
    def world(self) -> World:
        """Many waits in one triggerer."""
        return stepped_world(self.emulator, self.patch)

    def run(self) -> str:
        """Start a run as someone else."""
        return str(self.omics.start_run(**SETTING, requestId="someone-else")["id"])

    def batch(self) -> str:
        """Start a batch of two runs as someone else."""
        settings = [{"runSettingId": name} for name in ("NA12878", "NA12891")]
        request = {"defaultRunSetting": SETTING, "batchRunSettings": {"inlineSettings": settings}}
        return str(self.omics.start_run_batch(**request, requestId="someone-else")["id"])

    def encrypt_inputs(self) -> None:
        """Let the bucket of inputs encrypt with a key of its own what is put into it from here on."""
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": INPUTS_KEY}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
        self.s3.put_bucket_encryption(Bucket="omics-inputs", ServerSideEncryptionConfiguration=rules)

    def begin(self) -> None:
        """From here on every call is checked."""
        self.iam.stand_in(self.patch)

    def perform(self, task: Any) -> Ended:
        """Run a task as the caller."""
        self.begin()
        return perform(task)


def batch_of(*names: str, **arguments: Any) -> OmicsStartRunBatchOperator:
    """Make a task that starts a batch."""
    runs = {"run_settings": [{"runSettingId": name} for name in names]} if names else {}
    common: dict[str, Any] = {"task_id": "batch", "default_run_setting": SETTING, "botocore_config": ONE_TRY}
    return OmicsStartRunBatchOperator(**{**common, **runs, **arguments})
