"""The flags of Kubeflow's SageMaker components, and where each stands in the request that the component makes.

Two generations exist. Version 1 has flags of its own; :data:`COMPONENTS` says what each is. Version 2 has one flag for
each member of the request, so that the API's model says it. Both were deleted from Kubeflow's repository in 2026.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Flag = tuple[str, str]
"""Where a flag stands in the request, and how it is written: ``text``, ``int``, ``float``, ``bool``, ``json``,
``words`` (with commas), ``tags``, ``metrics`` or ``strings`` (an object whose values become text)."""


def _place(prefix: str, flags: dict[str, Flag]) -> dict[str, Flag]:
    return {flag: (f"{prefix}.{path}", kind) for flag, (path, kind) in flags.items()}


def _network(prefix: str = "") -> dict[str, Flag]:
    return {
        "vpc_security_group_ids": (f"{prefix}VpcConfig.SecurityGroupIds", "words"),
        "vpc_subnets": (f"{prefix}VpcConfig.Subnets", "words"),
        "network_isolation": (f"{prefix}EnableNetworkIsolation", "bool"),
        "traffic_encryption": (f"{prefix}EnableInterContainerTrafficEncryption", "bool"),
    }


_CLUSTER: dict[str, Flag] = {
    "instance_type": ("InstanceType", "text"),
    "instance_count": ("InstanceCount", "int"),
    "volume_size": ("VolumeSizeInGB", "int"),
    "resource_encryption_key": ("VolumeKmsKeyId", "text"),
}
_ROLE: dict[str, Flag] = {"role": ("RoleArn", "text")}
_TAGS: dict[str, Flag] = {"tags": ("Tags", "tags")}

_TRAINING: dict[str, Flag] = {
    **_ROLE,
    **_place("ResourceConfig", _CLUSTER),
    **_network(),
    "image": ("AlgorithmSpecification.TrainingImage", "text"),
    "algorithm_name": ("AlgorithmSpecification.AlgorithmName", "text"),
    "training_input_mode": ("AlgorithmSpecification.TrainingInputMode", "text"),
    "metric_definitions": ("AlgorithmSpecification.MetricDefinitions", "metrics"),
    "channels": ("InputDataConfig", "json"),
    "output_encryption_key": ("OutputDataConfig.KmsKeyId", "text"),
    "spot_instance": ("EnableManagedSpotTraining", "bool"),
    "max_run_time": ("StoppingCondition.MaxRuntimeInSeconds", "int"),
    "max_wait_time": ("StoppingCondition.MaxWaitTimeInSeconds", "int"),
    "checkpoint_config": ("CheckpointConfig", "json"),
}
"""What a training job and the jobs of a tuning job have in common."""

_TUNING = "HyperParameterTuningJobConfig"


@dataclass(frozen=True, slots=True)
class FlaggedComponent:
    """A component of version 1.

    :param noun: what it creates: ``TrainingJob``.
    :param flags: by name.
    :param outputs: for each output, the path of the step's property.
    """

    noun: str
    flags: dict[str, Flag]
    outputs: dict[str, str] = field(default_factory=dict)


COMPONENTS: dict[str, FlaggedComponent] = {
    "train": FlaggedComponent(
        "TrainingJob",
        {
            **_TRAINING,
            **_TAGS,
            "hyperparameters": ("HyperParameters", "strings"),
            "model_artifact_path": ("OutputDataConfig.S3OutputPath", "text"),
            "debug_hook_config": ("DebugHookConfig", "json"),
            "debug_rule_config": ("DebugRuleConfigurations", "json"),
            "job_name": ("TrainingJobName", "text"),
        },
        {
            "model_artifact_url": "ModelArtifacts.S3ModelArtifacts",
            "job_name": "TrainingJobName",
            "training_image": "AlgorithmSpecification.TrainingImage",
        },
    ),
    "process": FlaggedComponent(
        "ProcessingJob",
        {
            **_ROLE,
            **_TAGS,
            **_place("ProcessingResources.ClusterConfig", _CLUSTER),
            **_network("NetworkConfig."),
            "image": ("AppSpecification.ImageUri", "text"),
            "container_entrypoint": ("AppSpecification.ContainerEntrypoint", "json"),
            "container_arguments": ("AppSpecification.ContainerArguments", "json"),
            "environment": ("Environment", "strings"),
            "input_config": ("ProcessingInputs", "json"),
            "output_config": ("ProcessingOutputConfig.Outputs", "json"),
            "output_encryption_key": ("ProcessingOutputConfig.KmsKeyId", "text"),
            "max_run_time": ("StoppingCondition.MaxRuntimeInSeconds", "int"),
            "job_name": ("ProcessingJobName", "text"),
        },
        {"job_name": "ProcessingJobName"},
    ),
    "transform": FlaggedComponent(
        "TransformJob",
        {
            **_TAGS,
            "job_name": ("TransformJobName", "text"),
            "model_name": ("ModelName", "text"),
            "max_concurrent": ("MaxConcurrentTransforms", "int"),
            "max_payload": ("MaxPayloadInMB", "int"),
            "batch_strategy": ("BatchStrategy", "text"),
            "environment": ("Environment", "strings"),
            "input_location": ("TransformInput.DataSource.S3DataSource.S3Uri", "text"),
            "data_type": ("TransformInput.DataSource.S3DataSource.S3DataType", "text"),
            "content_type": ("TransformInput.ContentType", "text"),
            "split_type": ("TransformInput.SplitType", "text"),
            "compression_type": ("TransformInput.CompressionType", "text"),
            "output_location": ("TransformOutput.S3OutputPath", "text"),
            "accept": ("TransformOutput.Accept", "text"),
            "assemble_with": ("TransformOutput.AssembleWith", "text"),
            "output_encryption_key": ("TransformOutput.KmsKeyId", "text"),
            "input_filter": ("DataProcessing.InputFilter", "text"),
            "output_filter": ("DataProcessing.OutputFilter", "text"),
            "join_source": ("DataProcessing.JoinSource", "text"),
            "instance_type": ("TransformResources.InstanceType", "text"),
            "instance_count": ("TransformResources.InstanceCount", "int"),
            "resource_encryption_key": ("TransformResources.VolumeKmsKeyId", "text"),
        },
        {"output_location": "TransformOutput.S3OutputPath"},
    ),
    "tuning": FlaggedComponent(
        "HyperParameterTuningJob",
        {
            **_TAGS,
            **_place("TrainingJobDefinition", _TRAINING),
            "output_location": ("TrainingJobDefinition.OutputDataConfig.S3OutputPath", "text"),
            "static_parameters": ("TrainingJobDefinition.StaticHyperParameters", "strings"),
            "job_name": ("HyperParameterTuningJobName", "text"),
            "strategy": (f"{_TUNING}.Strategy", "text"),
            "metric_name": (f"{_TUNING}.HyperParameterTuningJobObjective.MetricName", "text"),
            "metric_type": (f"{_TUNING}.HyperParameterTuningJobObjective.Type", "text"),
            "early_stopping_type": (f"{_TUNING}.TrainingJobEarlyStoppingType", "text"),
            "integer_parameters": (f"{_TUNING}.ParameterRanges.IntegerParameterRanges", "json"),
            "continuous_parameters": (f"{_TUNING}.ParameterRanges.ContinuousParameterRanges", "json"),
            "categorical_parameters": (f"{_TUNING}.ParameterRanges.CategoricalParameterRanges", "json"),
            "max_num_jobs": (f"{_TUNING}.ResourceLimits.MaxNumberOfTrainingJobs", "int"),
            "max_parallel_jobs": (f"{_TUNING}.ResourceLimits.MaxParallelTrainingJobs", "int"),
            "warm_start_type": ("WarmStartConfig.WarmStartType", "text"),
            "parent_hpo_jobs": ("WarmStartConfig.ParentHyperParameterTuningJobs", "parents"),
        },
        {
            "hpo_job_name": "HyperParameterTuningJobName",
            "best_job_name": "BestTrainingJob.TrainingJobName",
            "training_image": "TrainingJobDefinition.AlgorithmSpecification.TrainingImage",
        },
    ),
    "model": FlaggedComponent(
        "Model",
        {
            **_TAGS,
            "model_name": ("ModelName", "text"),
            "role": ("ExecutionRoleArn", "text"),
            "container_host_name": ("PrimaryContainer.ContainerHostname", "text"),
            "image": ("PrimaryContainer.Image", "text"),
            "model_artifact_url": ("PrimaryContainer.ModelDataUrl", "text"),
            "environment": ("PrimaryContainer.Environment", "strings"),
            "model_package": ("PrimaryContainer.ModelPackageName", "text"),
            "secondary_containers": ("Containers", "json"),
            **{flag: one for flag, one in _network().items() if flag != "traffic_encryption"},
        },
        {"model_name": "ModelName"},
    ),
    "endpoint_config": FlaggedComponent(
        "EndpointConfig",
        {
            "endpoint_config_name": ("EndpointConfigName", "text"),
            "endpoint_config_tags": ("Tags", "tags"),
            "resource_encryption_key": ("KmsKeyId", "text"),
            **{
                f"{flag}_{number}": (f"ProductionVariants.{number - 1}.{path}", kind)
                for number in (1, 2, 3)
                for flag, path, kind in (
                    ("variant_name", "VariantName", "text"),
                    ("model_name", "ModelName", "text"),
                    ("initial_instance_count", "InitialInstanceCount", "int"),
                    ("instance_type", "InstanceType", "text"),
                    ("initial_variant_weight", "InitialVariantWeight", "float"),
                    ("accelerator_type", "AcceleratorType", "text"),
                )
            },
        },
    ),
    "deploy": FlaggedComponent(
        "Endpoint",
        {**_TAGS, "endpoint_name": ("EndpointName", "text")},
        {"endpoint_name": "EndpointName"},
    ),
    "workteam": FlaggedComponent(
        "Workteam",
        {
            **_TAGS,
            "team_name": ("WorkteamName", "text"),
            "description": ("Description", "text"),
            "user_pool": ("MemberDefinitions.0.CognitoMemberDefinition.UserPool", "text"),
            "user_groups": ("MemberDefinitions.0.CognitoMemberDefinition.UserGroup", "text"),
            "client_id": ("MemberDefinitions.0.CognitoMemberDefinition.ClientId", "text"),
            "sns_topic": ("NotificationConfiguration.NotificationTopicArn", "text"),
        },
        {"workteam_arn": "WorkteamArn"},
    ),
}
"""The components of version 1 that make a request, by a short name."""

PROGRAMS = {
    "batch_transform": "transform",
    "create_model": "model",
    "deploy": "deploy",
    "hyperparameter_tuning": "tuning",
    "process": "process",
    "sagemaker_deploy_component": "deploy",
    "sagemaker_model_component": "model",
    "sagemaker_process_component": "process",
    "sagemaker_training_component": "train",
    "sagemaker_transform_component": "transform",
    "sagemaker_tuning_component": "tuning",
    "sagemaker_workteam_component": "workteam",
    "train": "train",
    "workteam": "workteam",
}
"""The component that a program of the image is, by the program's name without its ending."""

UNSUPPORTED_PROGRAMS = {
    "ground_truth": "Ground Truth: people label data, and no step waits for people",
    "sagemaker_ground_truth_component": "Ground Truth: people label data, and no step waits for people",
    "sagemaker_rlestimator_component": "the SDK's RLEstimator, whose images SageMaker no longer has",
    "create_simulation_app": "RoboMaker, which AWS has ended",
    "delete_simulation_app": "RoboMaker, which AWS has ended",
    "robomaker_create_simulation_app_component": "RoboMaker, which AWS has ended",
    "robomaker_delete_simulation_app_component": "RoboMaker, which AWS has ended",
    "robomaker_simulation_job_batch_component": "RoboMaker, which AWS has ended",
    "robomaker_simulation_job_component": "RoboMaker, which AWS has ended",
}
"""Programs of the image that make nothing that a step or a single call makes."""

REQUIRED = {
    *("channels", "image", "input_location", "instance_count", "instance_type", "max_num_jobs", "max_parallel_jobs"),
    *(
        "metric_name",
        "metric_type",
        "model_artifact_path",
        "model_artifact_url",
        "model_name",
        "output_location",
        "role",
    ),
    *("volume_size",),
}
"""Flags without which no request is complete; others are left out where they are empty."""

IGNORED = {"region", "endpoint_url", "update_endpoint"}
"""Flags that say what a pipeline's connection says, or what its steps do anyway."""
