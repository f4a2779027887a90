"""The links that the UI shows on a task instance.

An operator pushes a link's whole address to an XCom as soon as it knows the address; the button reads it back. Where
calls do not go to AWS, and no other page shows the pipeline, there is no address and no button.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class _AddressLink(BaseOperatorLink):
    """Gives the address that the operator published."""

    key = ""

    @property
    def xcom_key(self) -> str:
        """The XCom that holds the address."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty where the operator has published none.

        Airflow asks on the worker, after each phase of a task, and writes the answer to the XCom that the UI reads. So
        the operator that has just run knows the address, and nothing is fetched.
        """
        addresses: Any = getattr(operator, "link_addresses", None) or {}
        return str(addresses.get(self.key, ""))


class SageMakerPipelineExecutionLink(_AddressLink):
    """The execution's graph in SageMaker Studio; Studio itself where the operator knows no domain."""

    name = "SageMaker execution"
    key = "sagemaker_execution_link"


class SageMakerPipelineLink(_AddressLink):
    """The pipeline and its executions in SageMaker Studio; Studio itself where the operator knows no domain."""

    name = "SageMaker pipeline"
    key = "sagemaker_pipeline_link"


class SageMakerCallbackQueueLink(_AddressLink):
    """The queue that has the message of a Callback step, in the SQS console."""

    name = "Callback queue"
    key = "sagemaker_queue_link"


class SageMakerJobLogsLink(_AddressLink):
    """The CloudWatch logs of the step that failed, or of the last step that ran a job."""

    name = "Step logs"
    key = "sagemaker_logs_link"
