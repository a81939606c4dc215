"""Scenarios: scripts of the outcomes that the emulated service would otherwise invent.

``Scenario.from_mapping`` reads this format; a YAML file with the same keys is the usual form. Every key is optional
unless marked as required. Times are in seconds. Patterns are those of :mod:`fnmatch`, with case. In a list of
rules the first that matches decides alone; a rule without ``match`` matches all; where none matches, the defaults hold.

.. code-block:: yaml

    limits:                       # see airflow_provider_omics.emulator.script.limits.Limits
      concurrent_dynamic_runs: 20
      submissions_per_second: 50

    workflows:                    # exist from the start, in every account and region
      - id: "1234567"             # required: digits
        name: rnaseq              # required
        type: PRIVATE             # PRIVATE (default) or READY2RUN
        engine: NEXTFLOW          # NEXTFLOW (default), WDL, WDL_LENIENT or CWL
        status: ACTIVE            # ACTIVE (default), CREATING, UPDATING, DELETED, FAILED or INACTIVE
        owner: "111122223333"     # shared by this account: callers must name it as workflowOwnerId
        storage_type: DYNAMIC     # for runs that do not say
        gpu: false
        parameter_template:       # unset: parameters are not checked
          input: {description: The sample sheet}
          genome: {optional: true}
        versions: ["3.14", "3.18"]

    runs:                         # rules for runs
      - match:
          workflow: rnaseq        # pattern for the workflow's id or name
          name: "sample-*"        # pattern for the run's name
          run_setting_id: "S[12]" # pattern; matches runs of batches only
          batch: "nightly-*"      # pattern for the batch's name; matches runs of batches only
          attempt: [1, 2]         # how often this runSettingId (else this name) of this workflow was started before,
                                  # failed submissions included, plus 1
        pending: 5                # in PENDING at least (queueing comes on top)
        starting: 60
        running: 600              # in RUNNING; unset: as long as the tasks take
        stopping: 30
        outcome: FAILED           # COMPLETED (default) or FAILED
        fails_in: RUNNING         # PENDING, STARTING or RUNNING (default): the last status before STOPPING
        failure_reason: RUN_TASK_FAILED   # at most 64 characters; default RUN_TASK_FAILED when the run fails
        status_message: ALIGN ran out of memory
        cancel_takes: 20          # from CancelRun to CANCELLED
        vanish_after: 3600        # seconds after its end the service forgets the run, as retention does
        engine_log: ["[ab/12cd] Submitted process > ALIGN (S1)"]
        outputs: [vcf/S1.vcf.gz]  # keys below its output URI that it leaves as well, if it completes
        tasks:                    # one after the other; unset: three plausible ones, the second fails with the run,
                                  # unless its failure_reason is one of before the first task or after the last
          - name: FASTQC          # required
            duration: 120         # unset: an equal share of what is left of `running`
            cpus: 2
            memory: 4             # GiB
            gpus: 0
            cpus_used: 1.8        # the most that it uses, as the manifest says; unset: 90 % of cpus
            memory_used: 3.2      # GiB; unset: 80 % of memory, nearly all of it if it fails for OUT_OF_MEMORY_ERROR
            instance_type: omics.c.large
            image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/fastqc:0.12   # unset: one of the task's name
          - name: ALIGN
            outcome: FAILED       # a failed run ends with its last failed task; in a completed run it was retried
            failure_reason: OUT_OF_MEMORY_ERROR
            exit_text: "exit code 137"    # the task's statusMessage
            log: ["[bwa_mem] read 200000 sequences", "Killed"]
            cache_hit: false
      - match: {run_setting_id: "BAD*"}
        submission_failure:       # the run of a batch is never created; a single StartRun answers with this error
          reason: AccessDeniedException   # required; one of the documented reasons
          message: The role cannot read the input.

    batches:                      # rules for batches
      - match: {name: "nightly-*", workflow: rnaseq}
        creating: 2
        pending: 3
        count_lag: 10             # runSummary is renewed every so many seconds, until the batch ends; 0: always exact
        failure:                  # the batch becomes FAILED
          reason: An internal error occurred.   # required
          code: INTERNAL_SERVER_EXCEPTION       # in the event; default VALIDATION_EXCEPTION
          after_runs: 10          # once so many runs were submitted; these go on
        cancel_failures: 2        # CancelRunBatch fails to cancel so many of its runs
        delete_failures: 1        # DeleteRunBatch fails to delete so many of its runs

    configurations: [lab-vpc]     # ACTIVE from the start, in every account and region

    regions: [us-east-1]          # unset: those that HealthOmics has; a call to another one is refused
    places: ["s3://results/*"]    # patterns of S3 URIs that are taken to exist: runs export there (and nothing is
                                  # written), caches lie there, and a definition there is not read

    workflow_creation:            # of CreateWorkflow and CreateWorkflowVersion
      seconds: 5                  # in CREATING
      failures: {"bad-*": The definition is not valid.}   # pattern of workflow names -> statusMessage; FAILED

    request_id_memory: 86400      # how long a requestId is remembered; unset: for ever
    list_lag: 0                   # a new run appears in ListRuns after so long
    deleted_visible: 0            # a deleted run is shown as DELETED for so long
    list_runs_refuses_batch_and_status: false   # what AWS does is not documented (asked: list-both-filters)
    accept_unknown_workflows: false   # any numeric workflow id is an ACTIVE workflow without a parameter template
    default_storage_type: STATIC  # the API reference says STATIC, the User Guide DYNAMIC
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.script.limits import Limits
from airflow_provider_omics.emulator.script.mapping import ScenarioError, read_dataclass
from airflow_provider_omics.emulator.script.rules import BatchRule, RunRule

_SECONDS = {"minimum": 0}
#: The regions that have workflows (General Reference, "AWS HealthOmics endpoints and quotas").
REGIONS = (
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "il-central-1",
)


@dataclass(frozen=True)
class TemplateEntry:
    """A parameter of a workflow, as in ``parameterTemplate``."""

    description: str | None = field(default=None, metadata={"longest": 256})
    optional: bool = False


@dataclass(frozen=True)
class DeclaredWorkflow:
    """A workflow that exists from the start; this module's description explains the keys."""

    id: str = field(metadata={"longest": 18})
    name: str = field(metadata={"longest": 128})
    type: str = field(default="PRIVATE", metadata={"allowed": ("PRIVATE", "READY2RUN")})
    engine: str = field(default="NEXTFLOW", metadata={"allowed": ("NEXTFLOW", "WDL", "WDL_LENIENT", "CWL")})
    status: str = field(
        default=statuses.ACTIVE,
        metadata={"allowed": ("ACTIVE", "CREATING", "UPDATING", "DELETED", "FAILED", "INACTIVE")},
    )
    owner: str | None = None
    storage_type: str | None = field(default=None, metadata={"allowed": ("STATIC", "DYNAMIC")})
    gpu: bool = False
    parameter_template: Mapping[str, TemplateEntry] | None = None
    versions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.id.isascii() and self.id.isdigit()):
            raise ScenarioError("id", f"{self.id!r} is not a workflow id; use 1 to 18 digits")
        if self.owner is not None and not (len(self.owner) == 12 and self.owner.isdigit()):
            raise ScenarioError("owner", f"{self.owner!r} is not an account; use 12 digits, quoted")


@dataclass(frozen=True)
class WorkflowCreation:
    """The course of CreateWorkflow and CreateWorkflowVersion."""

    seconds: float = field(default=5.0, metadata=_SECONDS)
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A script for the emulated service; this module's description explains the keys."""

    limits: Limits = field(default_factory=Limits)
    workflows: tuple[DeclaredWorkflow, ...] = ()
    configurations: tuple[str, ...] = ()
    runs: tuple[RunRule, ...] = ()
    batches: tuple[BatchRule, ...] = ()
    regions: tuple[str, ...] = REGIONS
    places: tuple[str, ...] = ()
    workflow_creation: WorkflowCreation = WorkflowCreation()
    request_id_memory: float | None = field(default=None, metadata=_SECONDS)
    list_lag: float = field(default=0.0, metadata=_SECONDS)
    deleted_visible: float = field(default=0.0, metadata=_SECONDS)
    list_runs_refuses_batch_and_status: bool = False
    accept_unknown_workflows: bool = False
    default_storage_type: str = field(default="STATIC", metadata={"allowed": ("STATIC", "DYNAMIC")})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Scenario:
        """Read a scenario.

        :param mapping: the scenario in the format of this module's description.
        :return: the scenario. Without ``workflows`` those of :meth:`default` exist.
        :raises ScenarioError: a key is unknown or a value wrong; the error names path, value and alternatives.
        """
        scenario: Scenario = read_dataclass(cls, mapping)
        if "workflows" not in mapping:
            scenario = replace(scenario, workflows=_default_workflows())
        return scenario

    @classmethod
    def default(cls) -> Scenario:
        """Return the scenario in which everything succeeds.

        :return: a scenario with a few plausible workflows: 1234567 (Nextflow, takes any parameters), 2345678 (WDL, with
            a parameter template), 3456789 (CWL), 4567890 (Nextflow, with a template and two versions, STATIC storage),
            5678901 (shared by account 111122223333) and 9500764 (READY2RUN).
        """
        return cls.from_mapping({})

    def __post_init__(self) -> None:
        seen = set()
        for number, workflow in enumerate(self.workflows):
            if workflow.id in seen:
                raise ScenarioError(f"workflows[{number}].id", f"{workflow.id!r} is declared twice")
            seen.add(workflow.id)

    def has_place(self, uri: str) -> bool:
        """Return whether an S3 URI is taken to exist, whatever S3 holds.

        :param uri: URI of a folder or an object.
        """
        return any(fnmatchcase(uri, place) or fnmatchcase(f"{uri.rstrip('/')}/", place) for place in self.places)

    def run_rule(
        self,
        *,
        workflow: tuple[str, str],
        name: str | None,
        run_setting_id: str | None,
        batch: str | None,
        attempt: int,
    ) -> RunRule:
        """Find the rule for a run.

        :param workflow: the workflow's id and name.
        :param name: the run's name.
        :param run_setting_id: the run's ``runSettingId``; None for a single run.
        :param batch: the batch's name.
        :param attempt: 1 for the first start.
        :return: the first rule that matches, else the default one.
        """
        for rule in self.runs:
            match = rule.match
            if (
                _fits_any(match.workflow, workflow)
                and _fits(match.name, name)
                and _fits(match.run_setting_id, run_setting_id)
                and _fits(match.batch, batch)
                and (not match.attempt or attempt in match.attempt)
            ):
                return rule
        return _DEFAULT_RUN_RULE

    def batch_rule(self, *, name: str | None, workflow: tuple[str, str]) -> BatchRule:
        """Find the rule for a batch.

        :param name: the batch's name.
        :param workflow: the workflow's id and name.
        :return: the first rule that matches, else the default one.
        """
        for rule in self.batches:
            if _fits(rule.match.name, name) and _fits_any(rule.match.workflow, workflow):
                return rule
        return _DEFAULT_BATCH_RULE


def _fits(pattern: str | None, value: str | None) -> bool:
    return pattern is None or (value is not None and fnmatchcase(value, pattern))


def _fits_any(pattern: str | None, values: tuple[str, str]) -> bool:
    return pattern is None or any(fnmatchcase(value, pattern) for value in values)


_DEFAULT_RUN_RULE = RunRule()
_DEFAULT_BATCH_RULE = BatchRule()
_DEFAULT_WORKFLOWS: tuple[dict[str, Any], ...] = (
    # Takes any parameters.
    {"id": "1234567", "name": "anything", "storage_type": "DYNAMIC"},
    {
        "id": "2345678",
        "name": "germline-variants",
        "engine": "WDL",
        "storage_type": "DYNAMIC",
        "parameter_template": {
            "sample_name": {"description": "Name of the sample"},
            "fastq_1": {"description": "Forward reads, an S3 URI"},
            "fastq_2": {"description": "Reverse reads, an S3 URI", "optional": True},
        },
    },
    {"id": "3456789", "name": "alignment", "engine": "CWL", "storage_type": "DYNAMIC"},
    {
        "id": "4567890",
        "name": "rnaseq",
        "parameter_template": {
            "input": {"description": "Sample sheet, an S3 URI of a CSV file"},
            "genome": {"description": "Name of the reference genome", "optional": True},
            "fasta": {"description": "Reference genome, an S3 URI", "optional": True},
            "gtf": {"description": "Gene annotation, an S3 URI", "optional": True},
            "aligner": {"description": "star_salmon or hisat2", "optional": True},
        },
        "versions": ["3.14.0", "3.18.0"],
    },
    {"id": "5678901", "name": "shared-qc", "owner": "111122223333", "storage_type": "DYNAMIC"},
    # As in the User Guide's table of Ready2Run workflows.
    {"id": "9500764", "name": "GATK-BP Germline fq2vcf for 30x genome", "type": "READY2RUN", "engine": "WDL"},
)


@cache
def _default_workflows() -> tuple[DeclaredWorkflow, ...]:
    return tuple(read_dataclass(DeclaredWorkflow, workflow) for workflow in _DEFAULT_WORKFLOWS)
