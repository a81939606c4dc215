"""Kinds of failure, each with the scenario that makes it and what it is started with."""

from __future__ import annotations

from typing import Any

FASTQC = {"name": "FASTQC", "duration": 120}


def failed_task(name: str = "ALIGN", **rule: Any) -> dict[str, Any]:
    return {"name": name, "duration": 4350, "cpus": 8, "memory": 32, "outcome": "FAILED", **rule}


def failed_run(reason: str, message: str | None = None, **rule: Any) -> dict[str, Any]:
    return {"outcome": "FAILED", "failure_reason": reason, "status_message": message, **rule}


RUNS: dict[str, dict[str, Any]] = {
    "out_of_memory": failed_run(
        "RUN_TASK_FAILED",
        "Run failed because a task failed.",
        tasks=[
            FASTQC,
            failed_task(
                failure_reason="OUT_OF_MEMORY_ERROR",
                exit_text="exit code 137",
                log=["\x1b[32m[M::bwa_mem]\x1b[0m read 200000 sequences", "10%\r50%\r80%", "Killed"],
            ),
        ],
    ),
    "file_system_full": failed_run(
        "FILE_SYSTEM_OUT_OF_SPACE",
        "The file system of 1200 GiB is full.",
        tasks=[FASTQC, failed_task("MARKDUPLICATES", log=["Writing S1.md.bam", "No space left on device"])],
    ),
    "task_failed": failed_run(
        "RUN_TASK_FAILED",
        "Run failed because a task failed.",
        tasks=[FASTQC, failed_task(log=["Command error:", "  [E::bgzf_read] truncated file"])],
    ),
    "task_retried": failed_run(
        "RUN_TASK_FAILED",
        tasks=[
            failed_task(duration=60, failure_reason="SERVICE_ERROR", exit_text="The instance was lost.", log=["..."]),
            failed_task(duration=90, failure_reason="TASK_TIMED_OUT", exit_text="After 90 s.", log=["waiting"]),
        ],
    ),
    "many_tasks": failed_run(
        "RUN_TASK_FAILED", tasks=[failed_task(f"SCATTER_{number}", duration=60, log=["no"]) for number in range(12)]
    ),
    "task_timed_out": failed_run(
        "TASK_TIMED_OUT", "Task timed out after 3600 seconds.", tasks=[failed_task(log=["still waiting"])]
    ),
    "container": failed_run(
        "CANNOT_START_CONTAINER_ERROR",
        "Unable to start workflow task: ALIGN",
        tasks=[failed_task(failure_reason="CANNOT_START_CONTAINER_ERROR", exit_text="exec format error")],
    ),
    "engine": failed_run(
        "WORKFLOW_RUN_FAILED",
        "Workflow run failed. Review CloudWatch Logs engine log stream: run/10000001/engine",
        tasks=[FASTQC],
        engine_log=["ERROR ~ Unknown method invocation `splitCsv` on ArrayList type", "", "   at main.nf:12"],
    ),
    "import": failed_run("IMPORT_FAILED", "Input s3://reads/S1_1.fastq.gz is not readable.", fails_in="STARTING"),
    "input_not_found": failed_run("INPUT_URI_NOT_FOUND", "s3://reads/S1_1.fastq.gz", fails_in="PENDING"),
    "assume_role": failed_run("ASSUME_ROLE_FAILED", "Unable to assume the role.", fails_in="PENDING"),
    "image": failed_run("ECR_PERMISSION_ERROR", "Unable to access the image.", fails_in="STARTING"),
    "export": failed_run("EXPORT_FAILED", "Access denied to s3://genomics-outputs/runs.", tasks=[FASTQC]),
    "service": failed_run("SERVICE_ERROR", "An internal error occurred.", tasks=[FASTQC]),
    "no_instance": failed_run(
        "INSTANCE_RESERVATION_FAILED", "No capacity for omics.g5.2xlarge.", tasks=[failed_task(gpus=1)]
    ),
    "timed_out": failed_run("RUN_TIMED_OUT", "Run timed out after 10 minutes.", tasks=[FASTQC]),
    "new_code": failed_run("SOLAR_FLARE", "Bits were flipped.", tasks=[FASTQC]),
}
"""Name of the text -> rule of the run."""

NOT_AUTHORIZED = "User: arn:aws:sts::123456789012:assumed-role/sandbox/worker is not authorized to perform: {} on {}"


def refused(action: str, resource: str) -> dict[str, Any]:
    message = NOT_AUTHORIZED.format(action, resource)
    return {"submission_failure": {"reason": "AccessDeniedException", "message": message}}


BATCHES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "batch_mixed": [
        ("M*", RUNS["file_system_full"]),
        ("I*", RUNS["import"]),
        ("T*", RUNS["out_of_memory"]),
        ("Q*", {"submission_failure": {"reason": "ServiceQuotaExceededException", "message": "Too many runs: 100000"}}),
    ],
    "batch_denied": [
        ("M*", refused("omics:TagResource", "arn:aws:omics:us-east-1:123456789012:run/*")),
        ("I*", refused("iam:PassRole", "arn:aws:iam::123456789012:role/omics")),
        ("T*", refused("omics:StartRun", "arn:aws:omics:us-east-1:123456789012:workflow/1234567")),
        ("Q*", {"submission_failure": {"reason": "AccessDeniedException", "message": "Access denied."}}),
    ],
}
"""Name of the text -> rules by ``runSettingId``."""
