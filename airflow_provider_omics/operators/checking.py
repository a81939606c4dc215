"""Checks that a start operator makes on wish before it starts: of the workflow, and of the inputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.operators.masking import OmicsMaskingOperator

if TYPE_CHECKING:
    from airflow_provider_omics.core.inputs import RunInputs
    from airflow_provider_omics.operators.before_start import Workflow


class OmicsCheckingOperator(OmicsMaskingOperator):
    """Base of the operators that take ``check_workflow`` and ``check_inputs``."""

    check_workflow: bool
    check_role_arn: str | None

    @abstractmethod
    def _is_started(self, check: str) -> bool:
        """Whether an earlier try has started the runs: what was right then may be gone by now, and they go on."""

    @abstractmethod
    def _parameters_by_run(self, request: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give the merged parameters of each run, with the name of the argument they stand in."""

    def _check_workflow(self, request: Mapping[str, Any]) -> None:
        """Compare the parameters of each run with the template of its workflow."""
        workflow = self._workflow(request.get("defaultRunSetting", request))
        if workflow is not None:
            workflow.check(self._parameters_by_run(request))

    def _workflow(self, setting: Mapping[str, Any]) -> Workflow | None:
        """Look up the workflow of the runs; None: nobody wants it checked, or it cannot be looked up."""
        if not self.check_workflow or self._is_started("check_workflow"):
            return None
        from airflow_provider_omics.operators.before_start import look_up_workflow  # for those who want it

        return look_up_workflow(self.hook, self.log, setting)

    def _check_inputs(self, context: Context, request: Mapping[str, Any]) -> None:
        """Look up the inputs of each run, unless an earlier try has started the runs: they may have gone since."""
        if not self._is_started("check_inputs"):
            self._look_up_inputs(request)

    def _look_up_inputs(self, request: Mapping[str, Any]) -> None:
        """Look up the inputs of each run."""
        from airflow_provider_omics.input_checks import check_inputs  # for those who want it

        check_inputs(
            lambda: self._inputs_by_run(request),
            self.hook,
            self.log,
            role_arn=self.check_role_arn or None,
            networking_mode=request.get("defaultRunSetting", request).get("networkingMode"),
            mask=self._masks_parameters(),
        )

    def _inputs_by_run(self, request: Mapping[str, Any]) -> Iterable[RunInputs]:
        """Give what each run is given, to be searched for inputs."""
        from airflow_provider_omics.core.inputs import RunInputs  # for those who want it

        return (RunInputs(None, argument, parameters) for argument, parameters in self._parameters_by_run(request))
