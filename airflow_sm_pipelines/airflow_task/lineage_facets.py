"""OpenLineage run facets of this package; imported only where the OpenLineage client is installed."""

from __future__ import annotations

from typing import Any

import attrs
from openlineage.client.facet_v2 import RunFacet


@attrs.define(kw_only=True)
class SageMakerPipelineExecutionRunFacet(RunFacet):  # type: ignore[misc, unused-ignore]
    """One pipeline execution: what ran, how it ended, and each step.

    :param url: where the execution is shown.
    :param steps: name, type, status, seconds, job ARN and, where there is one, the failure's reason.
    :param isLineageComplete: False where the data of some step could not be learnt in time.
    """

    executionArn: str  # noqa: N815 - OpenLineage's spelling
    pipelineArn: str  # noqa: N815
    pipelineName: str  # noqa: N815
    pipelineVersionId: int | None  # noqa: N815
    status: str
    failureReason: str | None = None  # noqa: N815
    url: str | None = None
    steps: list[dict[str, Any]] = attrs.field(factory=list)
    isLineageComplete: bool = True  # noqa: N815


@attrs.define(kw_only=True)
class SageMakerPipelineDeploymentRunFacet(RunFacet):  # type: ignore[misc, unused-ignore]
    """One deployment: the version that is there now, and whether it is new.

    :param action: ``created``, ``updated`` or ``unchanged``.
    """

    pipelineArn: str  # noqa: N815 - OpenLineage's spelling
    pipelineName: str  # noqa: N815
    pipelineVersionId: int  # noqa: N815
    action: str
    definitionHash: str  # noqa: N815
    url: str | None = None
