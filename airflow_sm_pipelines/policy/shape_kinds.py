"""What each value of a step's request means to a team's policy: a role, a key, an image, an S3 place, ...

One table gives every scalar shape of the Create requests a kind; a shape with two meanings has its members listed. So a
member that AWS adds with a known shape is governed at once. A shape or member that is not placed here is no error for
anybody who does not use it: :mod:`governed_places` gives it the kind ``UNPLACED``, and the rule refuses its use.

Step types whose ``Arguments`` are no request of the SageMaker API are written down by the names of their members.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(str, Enum):
    """What a value is, as far as a policy is concerned; the value is its name in messages."""

    STEP_TYPE = "step type"
    ROLE = "role"
    VOLUME_KEY = "volume key"
    OUTPUT_KEY = "output key"
    IMAGE = "image"
    INSTANCE_TYPE = "instance type"
    INSTANCE_COUNT = "instances"
    VOLUME_SIZE = "GB of volume"
    RUN_TIME = "seconds of run time"
    WAIT_TIME = "seconds of waiting and running on spot"
    KEEP_ALIVE = "seconds of keeping instances alive"
    VPC = "VPC"
    SUBNET = "subnet"
    SECURITY_GROUP = "security group"
    ISOLATION = "network isolation"
    TRAFFIC_ENCRYPTION = "encryption of the traffic between its containers"
    SPOT = "spot instances"
    REMOTE_ACCESS = "a shell in its container"
    TAGS = "tags"
    S3 = "S3 address"
    ACCOUNT = "resource"
    """Something that lives in an AWS account, by ARN, URL or name."""
    DOCUMENT = "document"
    """JSON text that is a request itself: its members count by name."""
    TEXT = "text"
    """Read by code, or by another service: S3 addresses and ARNs in it count."""
    FREE = "free"
    """Nothing that a policy is about."""
    UNPLACED = "value that this version does not know"

    def __str__(self) -> str:
        return self.value


_SHAPES: Mapping[Kind, str] = {
    Kind.ROLE: "RoleArn",
    Kind.IMAGE: "AlgorithmImage ContainerImage ImageUri",
    Kind.INSTANCE_TYPE: "ProcessingInstanceType TrainingInstanceType",
    Kind.INSTANCE_COUNT: """
        InitialTaskCount ManagedInstanceScalingMaxInstanceCount ManagedInstanceScalingMinInstanceCount
        ProcessingInstanceCount TrainingInstanceCount TransformInstanceCount""",
    Kind.VOLUME_SIZE: "OptionalVolumeSizeInGB ProcessingVolumeSizeInGB ProductionVariantVolumeSizeInGB VolumeSizeInGB",
    Kind.RUN_TIME: """
        MaxAutoMLJobRuntimeInSeconds MaxRuntimeInSeconds MaxRuntimePerTrainingJobInSeconds
        ProcessingMaxRuntimeInSeconds""",
    Kind.WAIT_TIME: "MaxWaitTimeInSeconds",
    Kind.KEEP_ALIVE: "KeepAlivePeriodInSeconds",
    Kind.VPC: "VpcConfig",
    Kind.SUBNET: "SubnetId",
    Kind.SECURITY_GROUP: "SecurityGroupId",
    Kind.REMOTE_ACCESS: "EnableRemoteDebug ProductionVariantSSMAccess",
    Kind.TAGS: "TagList",
    Kind.S3: "DestinationS3Uri S3ModelUri S3Uri Url",
    Kind.ACCOUNT: """
        ArnOrName EvaluatorArn HubContentArn HubDataSetArn MlFlowResourceArn MlReservationArn ModelPackageArn
        ModelPackageGroupArn RepositoryCredentialsProviderArn ServerlessJobBaseModelArn SnsTopicArn TrainingPlanArn
        TrainingRepositoryCredentialsProviderArn VersionedArnOrName""",
    Kind.DOCUMENT: "JobConfigDocument",
    Kind.TEXT: """
        ArtifactPropertyValue AthenaQueryString ConfigValue ContainerArgument ContainerEntrypointString EnvironmentValue
        HyperParameterTrainingJobEnvironmentValue HyperParameterValue ModelCardContent ModelPackageSourceUri
        ParameterValue ProcessingEnvironmentValue RedshiftQueryString SourceUri String256 StringParameterValue
        TrainingContainerArgument TrainingContainerEntrypointString TrainingEnvironmentValue
        TransformEnvironmentValue""",
    Kind.FREE: """
        AcceleratorPartitionType Accept AcceptEula ActionStatus AdditionalModelChannelName
        AdditionalS3DataSourceDataType AlarmName AppManaged ArtifactSourceIdType AssemblyType
        AsyncNotificationTopicTypes AthenaCatalog AthenaDatabase AthenaResultCompressionType AthenaResultFormat
        AthenaWorkGroup AttributeName AutoGenerateEndpointName AutoMLAlgorithm AutoMLChannelType AutoMLJobName
        AutoMLMetricEnum AutoMLMode AutoMLS3DataType AutotuneMode AvailabilityZoneBalanceEnforcementMode
        AvailabilityZoneBalanceMaxImbalance BatchStrategy CapacityReservationPreference CapacitySizeType
        CapacitySizeValue CaptureMode CertifyForMarketplace ChannelName ClarifyContentTemplate
        ClarifyEnableExplanations ClarifyFeatureType ClarifyFeaturesAttribute ClarifyHeader ClarifyLabelAttribute
        ClarifyLabelIndex ClarifyMaxPayloadInMB ClarifyMaxRecordCount ClarifyMimeType ClarifyProbabilityAttribute
        ClarifyProbabilityIndex ClarifyShapBaseline ClarifyShapNumberOfSamples ClarifyShapSeed ClarifyShapUseLogit
        ClarifyTextGranularity ClarifyTextLanguage ClientToken CollectionName CompleteOnConvergence CompressionType
        ConfigKey ContainerHostname ContainerMode ContentDigest ContentType ContextName
        CrossRegionMaxInvocationsPerSecondPerInstance CrossRegionPercentPerEndpoint CsvContentType
        CustomerMetadataKey CustomerMetadataValue CustomizationTechnique DataDistributionType DataInputConfig
        DirectoryPath DisableProfiler EnableCaching EnableCapture EnableDetailedObservability EnableEnhancedMetrics
        EnableInfraCheck EnableSessionTagChaining EndpointConfigName EndpointName EntityDescription EntityName
        EnvironmentKey EvaluationType ExperimentDescription ExperimentEntityName FeatureGroupName
        FileSystemAccessMode FileSystemId FileSystemType GenerateCandidateDefinitionsOnly HubContentName
        HubContentVersion HyperParameterKey HyperParameterScalingType HyperParameterTrainingJobDefinitionName
        HyperParameterTrainingJobEnvironmentKey HyperParameterTuningAllocationStrategy HyperParameterTuningJobName
        HyperParameterTuningJobObjectiveType HyperParameterTuningJobStrategyType
        HyperParameterTuningJobWarmStartType HyperParameterTuningMaxRuntimeInSeconds HyperbandStrategyMaxResource
        HyperbandStrategyMinResource ImageDigest InferenceComponentCopyCount InferenceComponentName
        InferenceComponentPlacementStrategy InferenceExecutionMode InferenceSpecificationName InputMode
        InstanceGroupName InstancePoolPriority InvocationsMaxRetries InvocationsTimeoutInSeconds JobCategory JobName
        JobSchemaVersion JoinSource JsonContentType JsonPath ManagedInstanceScalingCooldownInMinutes
        ManagedInstanceScalingMaximumStepSize ManagedInstanceScalingScaleInStrategy ManagedInstanceScalingStatus
        ManagedStorageType MaxCandidates MaxConcurrentInvocationsPerInstance MaxConcurrentTransforms
        MaxNumberOfTrainingJobs MaxNumberOfTrainingJobsNotImproving MaxParallelTrainingJobs MaxPayloadInMB
        MaxPendingTimeInSeconds MaximumExecutionTimeoutInSeconds MaximumRetryAttempts MemoryInMb
        MetadataPropertyValue MetricName MetricPublishFrequencyInSeconds MetricRegex MetricsEndpointPath
        MlflowExperimentName MlflowRunName ModelApprovalStatus ModelCacheSetting ModelCardStatus
        ModelCompressionType ModelName ModelPackageFrameworkVersion ModelPackageRegistrationType
        NumberOfAcceleratorDevices NumberOfCpuCores OutputCompressionType ParameterKey Peft
        PrefixAwareRoutingConcurrencyThreshold PrefixAwareRoutingPrefixLength ProblemType ProcessingEnvironmentKey
        ProcessingJobName ProcessingLocalPath ProcessingS3CompressionType ProcessingS3DataDistributionType
        ProcessingS3DataType ProcessingS3InputMode ProcessingS3UploadMode ProductId ProductionVariantAcceleratorType
        ProductionVariantContainerStartupHealthCheckTimeoutInSeconds ProductionVariantInferenceAmiVersion
        ProductionVariantModelDataDownloadTimeoutInSeconds ProfilingIntervalInMilliseconds RandomSeed RecipeName
        RecordWrapper RedshiftClusterId RedshiftDatabase RedshiftResultCompressionType RedshiftResultFormat
        RedshiftUserName RepositoryAccessMode ResponseMIMEType RoutingStrategy RuleConfigurationName
        S3DataDistribution S3DataType S3ModelDataType SampleWeightAttributeName SamplingPercentage Seed
        SequenceLength ServerlessJobType ServerlessMaxConcurrency ServerlessMemorySizeInMB
        ServerlessProvisionedConcurrency SkipModelValidation SplitType StageDescription TagKey TagValue
        TargetAttributeName TargetObjectiveMetricValue TerminationWaitInSeconds TrafficRoutingConfigType
        TrainingEnvironmentKey TrainingInputMode TrainingJobEarlyStoppingType TrainingJobName
        TrainingRepositoryAccessMode TransformAmiVersion TransformEnvironmentKey TransformJobName ValidationFraction
        VariantInstanceProvisionTimeoutInSeconds VariantName VariantWeight WaitIntervalInSeconds""",
}

SHAPE_KINDS: Mapping[str, Kind] = {name: kind for kind, names in _SHAPES.items() for name in names.split()}
"""The kind of each scalar shape with one meaning; of ``VpcConfig`` and ``TagList`` too, which are governed as a whole.

Free are also the totals of a search: a tuning job's run time in all, the number of its training jobs.
"""

MEMBER_KINDS: Mapping[str, Mapping[str, Kind]] = {
    "Boolean": {
        "EnableInterContainerTrafficEncryption": Kind.TRAFFIC_ENCRYPTION,
        "EnableManagedSpotTraining": Kind.SPOT,
        "EnableMultipleJobs": Kind.FREE,
        "EnableNetworkIsolation": Kind.ISOLATION,
        "EnableSageMakerMetricsTimeSeries": Kind.FREE,
        "GenerateInferenceId": Kind.FREE,
        "IsCheckpoint": Kind.FREE,
    },
    "KmsKeyId": {
        "CreateEndpointConfigInput.KmsKeyId": Kind.VOLUME_KEY,
        "KmsKeyId": Kind.OUTPUT_KEY,
        "VolumeKmsKeyId": Kind.VOLUME_KEY,
    },
    # What a package can run on is no instance that anybody starts.
    "ProductionVariantInstanceType": {
        "InstanceType": Kind.INSTANCE_TYPE,
        "RealtimeInferenceInstanceTypes[]": Kind.FREE,
    },
    "TransformInstanceType": {"InstanceType": Kind.INSTANCE_TYPE, "TransformInstanceTypes[]": Kind.FREE},
    "String": {
        "Domain": Kind.FREE,
        "ETag": Kind.FREE,
        "Framework": Kind.FREE,
        "InputName": Kind.FREE,
        "ManifestEtag": Kind.FREE,
        "ModelDataETag": Kind.FREE,
        "NearestModelName": Kind.FREE,
        "OutputName": Kind.FREE,
        "Task": Kind.FREE,
    },
}
"""By shape: the kinds of its members, for shapes with several meanings. A member may be named with its owner."""

DEMANDED = frozenset(
    {
        Kind.VPC,
        Kind.ISOLATION,
        Kind.TRAFFIC_ENCRYPTION,
        Kind.VOLUME_KEY,
        Kind.OUTPUT_KEY,
        Kind.RUN_TIME,
        Kind.WAIT_TIME,
        Kind.SPOT,
        Kind.TAGS,
    }
)
"""What a structure that has a member of this kind must say: to leave it out means something."""

NOT_DEMANDED = frozenset(
    {
        # Records, not jobs; and a package in a group takes the group's tags: the API refuses tags of its own there.
        "CreateActionRequest.Tags",
        "CreateArtifactRequest.Tags",
        "CreateContextRequest.Tags",
        "CreateModelPackageInput.Tags",
        # The limit of the whole search is the one that counts.
        "AutoMLJobCompletionCriteria.MaxRuntimePerTrainingJobInSeconds",
    }
)

DEMANDED_WITH: Mapping[str, str] = {
    "CreateEndpointConfigInput.EnableNetworkIsolation": "ExecutionRoleArn",
    "CreateEndpointConfigInput.VpcConfig": "ExecutionRoleArn",
}
"""Members that mean something only beside another one: an endpoint's own network is for inference components."""

MADE_STRUCTURES = frozenset(
    {
        "AutoMLJobCompletionCriteria",
        "AutoMLJobConfig",
        "AutoMLSecurityConfig",
        "NetworkConfig",
        "ProcessingStoppingCondition",
        "StoppingCondition",
    }
)
"""Optional structures whose absence leaves something out that is demanded: a job without outputs needs no output key,
but one without ``NetworkConfig`` runs outside of the VPC."""

_NAMES: Mapping[Kind, str] = {
    Kind.ROLE: "AutoScalingRole ClusterRoleArn ExecutionRoleArn JobFlowRole RoleArn ServiceRole ServiceRoleArn",
    Kind.OUTPUT_KEY: "CustomModelKmsKeyId EncryptionKeyArn ImportedModelKmsKeyId KmsKey KmsKeyArn KmsKeyId",
    Kind.VOLUME_KEY: "VolumeKmsKeyId",
    Kind.IMAGE: "Image ImageUri TrainingImage",
    Kind.INSTANCE_TYPE: "InstanceType MasterInstanceType SlaveInstanceType",
    Kind.INSTANCE_COUNT: "InitialInstanceCount InstanceCount TargetOnDemandCapacity TargetSpotCapacity",
    Kind.VOLUME_SIZE: "EbsRootVolumeSize SizeInGB VolumeSizeInGB",
    Kind.RUN_TIME: "MaxRuntimeInSeconds",
    Kind.SUBNET: "Ec2SubnetId Ec2SubnetIds SubnetIds Subnets",
    Kind.SECURITY_GROUP: """
        AdditionalMasterSecurityGroups AdditionalSlaveSecurityGroups EmrManagedMasterSecurityGroup
        EmrManagedSlaveSecurityGroup SecurityGroupIds ServiceAccessSecurityGroup""",
    Kind.S3: "LogUri OutputLocation S3OutputPath S3Uri S3Uris",
    Kind.KEEP_ALIVE: "KeepAlivePeriodInSeconds",
    Kind.REMOTE_ACCESS: "EnableRemoteDebug",
}

NAMED_KINDS: Mapping[str, Kind] = {name.casefold(): kind for kind, names in _NAMES.items() for name in names.split()}
"""The kind of a member by its name in lower case, where no shape tells it. Every other one is text."""

NAMED_STEP_TYPES = frozenset(
    {
        "Athena",
        "BedrockCustomModel",
        "BedrockCustomModelDeployment",
        "BedrockModelImport",
        "BedrockProvisionedModelThroughput",
        "Cleanup",
        "EMR",
        "EMRServerless",
        "HubContent",
    }
)
"""Step types whose ``Arguments`` go to a service without a shape here: their members count by name.

Source: the requests of EMR (RunJobFlow), EMR Serverless, Athena and Bedrock, and the SDKs' steps. What the Athena,
Bedrock and HubContent steps take is not documented; the names are those of the services' own requests.
"""

TEXT_STEP_TYPES = frozenset({"Callback", "Lambda"})
"""Step types whose ``Arguments`` are the author's own: all of it is text."""

UNGOVERNED_STEP_TYPES = frozenset({"Condition", "Fail", "ForEach"})
"""Step types that start nothing; the steps inside are looked at by themselves."""

ATTRIBUTE_KINDS: Mapping[str, Kind] = {
    "CheckType": Kind.FREE,
    "FailOnViolation": Kind.FREE,
    "FunctionArn": Kind.ACCOUNT,
    "ModelName": Kind.FREE,
    "ModelPackageGroupName": Kind.ACCOUNT,
    "OutputParameters": Kind.FREE,
    "RegisterNewBaseline": Kind.FREE,
    "SkipCheck": Kind.FREE,
    "SqsQueueUrl": Kind.ACCOUNT,
    "SuppliedBaselineConstraints": Kind.S3,
    "SuppliedBaselineStatistics": Kind.S3,
}
"""What stands beside a step's ``Arguments``; every other key is text."""


def find_kind(shape_name: str, owner: str, member: str) -> Kind | None:
    """The kind of a value.

    :param owner: the shape of the structure, list or map that holds it.
    :param member: its name there; ``[]`` for an entry of a list, ``{}`` for a value of a map.
    :return: ``None`` where the table has no place for it.
    """
    members = MEMBER_KINDS.get(shape_name)
    if members is None:
        return SHAPE_KINDS.get(shape_name)
    return members.get(f"{owner}{'' if member in ('[]', '{}') else '.'}{member}") or members.get(member)
