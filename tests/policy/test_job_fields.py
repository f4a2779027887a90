"""Every place in the table of fields is a member of the call."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.policy.job_fields import EACH, JOB_FIELDS, JobFields
from airflow_sm_pipelines.service_model import load_service_model

OPERATIONS = {
    "Processing": "CreateProcessingJob",
    "QualityCheck": "CreateProcessingJob",
    "ClarifyCheck": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "Tuning": "CreateHyperParameterTuningJob",
    "Transform": "CreateTransformJob",
    "AutoML": "CreateAutoMLJob",
    "Model": "CreateModel",
    "RegisterModel": "CreateModelPackage",
    "EndpointConfig": "CreateEndpointConfig",
    "Endpoint": "CreateEndpoint",
    "InferenceComponent": "CreateInferenceComponent",
    "Job": "CreateJob",
}


@pytest.mark.parametrize("kind", sorted(JOB_FIELDS))
def test_every_field_is_a_member_of_the_call_as_the_service_models_it(kind: str) -> None:
    model = load_service_model()
    for name in JobFields.__dataclass_fields__:
        for field in getattr(JOB_FIELDS[kind], name):
            shape = model.get_request_shape(OPERATIONS[kind])
            for key in field.path:
                if key == EACH:
                    assert shape.type_name == "list", str(field)
                    shape = shape.member
                else:
                    assert key in shape.members, f"{kind}: {field}"
                    shape = shape.members[key]
