"""The account behind a connection: its caller, its Regions, its roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import service_errors


class Account:
    """Questions about the account and the identity of a connection.

    :param hook: the hook whose connection is used.
    """

    def __init__(self, hook: OmicsHook) -> None:
        self._hook = hook

    def regions(self) -> list[str]:
        """List the Regions in which the installed boto3 knows HealthOmics."""
        return list(self._hook.get_session().get_available_regions("omics"))

    def region(self) -> str | None:
        """Name the Region of the calls; None: there is none.

        :raises ServiceError: there is no session, as its settings are wrong.
        """
        with service_errors("GetRegion"):
            session = self._hook.get_session(region_name=self._hook.region_name)
        return None if session.region_name is None else str(session.region_name)

    def credentials(self) -> str | None:
        """Name the way in which botocore has found credentials: ``"assume-role"``, ``"env"``; None: there are none.

        :raises ServiceError: they could not be had.
        """
        with service_errors("GetCredentials"):
            found = self._hook.get_session().get_credentials()
        return None if found is None else str(found.method)

    def caller(self) -> str:
        """Ask for the ARN of the caller, for which nobody needs a permission; twice, within half a minute.

        :raises ServiceError: the call was refused or did not get through.
        """
        limits = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 2}}
        with service_errors("GetCallerIdentity"):
            return str(self._client("sts", Config(**limits)).get_caller_identity()["Arn"])

    def role(self, role_arn: str) -> Mapping[str, Any]:
        """Get a role.

        :param role_arn: its ARN.
        :return: ``Role`` of GetRole.
        :raises NotFound: there is no such role.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("GetRole"):
            role: Mapping[str, Any] = self._client("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
        return role

    def may_pass(self, caller_arn: str, role_arn: str) -> bool:
        """Ask IAM whether the caller may pass a role to HealthOmics.

        :param caller_arn: ARN of the caller, as STS has it.
        :param role_arn: the role.
        :raises ServiceError: the call was refused or did not get through.
        """
        source = caller_arn
        if ":assumed-role/" in caller_arn:
            name = caller_arn.split("/")[1]
            source = str(self.role(name)["Arn"])  # with its path, which STS leaves out
        with service_errors("SimulatePrincipalPolicy"):
            answer = self._client("iam").simulate_principal_policy(
                PolicySourceArn=source,
                ActionNames=["iam:PassRole"],
                ResourceArns=[role_arn],
                ContextEntries=[
                    {
                        "ContextKeyName": "iam:PassedToService",
                        "ContextKeyValues": ["omics.amazonaws.com"],
                        "ContextKeyType": "string",
                    }
                ],
            )
            return bool(answer["EvaluationResults"][0]["EvalDecision"] == "allowed")

    def _client(self, service: str, limits: Config | None = None) -> Any:
        other: AwsBaseHook = AwsBaseHook(client_type=service, aws_conn_id=self._hook.aws_conn_id)
        other.conn_config = self._hook.conn_config
        return other.conn if limits is None else other.get_client_type(config=other.config.merge(limits))
