"""What becomes of each member of a request: no member is dropped in silence.

A member *acts*; or it is *recorded*, shown by Describe, with the reason why a run here is right without it; or the
job's log *says* that it has no effect, where a run may miss it; or it is *refused* by name. A path stands for all that
is below it, unless a longer one says otherwise. ``tests/engine/rules/test_request_members.py`` holds the table to every
member that the installed botocore knows, and to docs/engine.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Effect(str, Enum):
    """What becomes of a member."""

    ACTS = "acts"
    RECORDED = "recorded"
    SAID = "said in the job's log"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class MemberRule:
    """What becomes of a member, and why.

    :param path: its place in the request, without the indices of lists.
    :param reason: a clause; empty where the member acts.
    """

    path: tuple[str, ...]
    effect: Effect
    reason: str = ""

    @property
    def name(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)


def _rules(acts: str, recorded: Mapping[str, str], *, said: Mapping[str, str], refused: Mapping[str, str]) -> Any:
    found = [MemberRule(tuple(path.split(".")), Effect.ACTS) for path in acts.split()]
    for effect, entries in ((Effect.RECORDED, recorded), (Effect.SAID, said), (Effect.REFUSED, refused)):
        found += [
            MemberRule(tuple(path.split(".")), effect, reason)
            for paths, reason in entries.items()
            for path in paths.split()
        ]
    return tuple(sorted(found, key=lambda rule: rule.path))


_KEYS = "nothing here is encrypted; the files are yours alone"
_MACHINE = "every job runs on this machine"
_ONE_MACHINE = "traffic between instances does not leave this machine"
_NO_VPC = "the job has this machine's network"
_NO_METRICS = "CloudWatch gets no metrics of endpoints"
_PIPE = "it is for Pipe mode, and files come as they are"
_PLACES = "where a job may run is for AWS to find"

REQUEST_MEMBERS: dict[str, tuple[MemberRule, ...]] = {
    "CreateProcessingJob": _rules(
        "ProcessingJobName ProcessingInputs ProcessingOutputConfig ProcessingResources.ClusterConfig.InstanceCount "
        "StoppingCondition AppSpecification Environment NetworkConfig.EnableNetworkIsolation RoleArn "
        "Tags ExperimentConfig",
        {
            "ProcessingOutputConfig.KmsKeyId ProcessingResources.ClusterConfig.VolumeKmsKeyId": _KEYS,
            "ProcessingResources.ClusterConfig.InstanceType ProcessingResources.ClusterConfig.VolumeSizeInGB": _MACHINE,
            "NetworkConfig.EnableInterContainerTrafficEncryption": _ONE_MACHINE,
            "NetworkConfig.VpcConfig": _NO_VPC,
            "ProcessingResources.ClusterConfig.SelectedInstanceType "
            "ProcessingResources.ClusterConfig.SelectedInstanceCount "
            "ExperimentConfig.RunName": "it is shown by Describe only",
        },
        said={"ProcessingInputs.S3Input.S3CompressionType": _PIPE},
        refused={
            "ProcessingInputs.DatasetDefinition": "Athena and Redshift are not here",
            "ProcessingOutputConfig.Outputs.FeatureStoreOutput": "no feature store is here",
            "ProcessingResources.ClusterConfig.InstancePreferences": _PLACES,
        },
    ),
    "CreateTrainingJob": _rules(
        "TrainingJobName HyperParameters AlgorithmSpecification RoleArn InputDataConfig OutputDataConfig "
        "ResourceConfig.InstanceCount ResourceConfig.InstanceGroups ResourceConfig.InstanceType StoppingCondition Tags "
        "EnableNetworkIsolation CheckpointConfig ExperimentConfig Environment TensorBoardOutputConfig",
        {
            "OutputDataConfig.KmsKeyId ResourceConfig.VolumeKmsKeyId": _KEYS,
            "ResourceConfig.VolumeSizeInGB ResourceConfig.InstancePlacementConfig": _MACHINE,
            "ResourceConfig.KeepAlivePeriodInSeconds": "a warm pool saves only the start of an instance",
            "ResourceConfig.TrainingPlanArn StoppingCondition.MaxPendingTimeInSeconds": "nothing waits for capacity",
            "ResourceConfig.SelectedInstanceType ResourceConfig.SelectedInstanceCount ExperimentConfig.RunName":
                "it is shown by Describe only",
            "EnableManagedSpotTraining StoppingCondition.MaxWaitTimeInSeconds": "no job here is interrupted",
            "EnableInterContainerTrafficEncryption": _ONE_MACHINE,
            "VpcConfig": _NO_VPC,
            "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": "metrics are read from the log either way",
            "AlgorithmSpecification.TrainingImageConfig": "no image is pulled",
            "InputDataConfig.ShuffleConfig": "it changes an order that File mode has not",
            "InputDataConfig.DataSource.S3DataSource.ModelAccessConfig "
            "InputDataConfig.DataSource.S3DataSource.HubAccessConfig": "the data are in this machine's S3",
            "DebugHookConfig ProfilerConfig": "they are in AWS's images only, and change no result",
            "RemoteDebugConfig InfraCheckConfig SessionChainingConfig": "it is about AWS's own machines and sessions",
            "RetryStrategy": "it is for faults of the service, which do not happen here",
        },
        said={
            "DebugRuleConfigurations": "its rules are not evaluated",
            "ProfilerRuleConfigurations": "its rules are not evaluated",
            "MlflowConfig": "no MLflow server is spoken to",
            "InputDataConfig.RecordWrapperType": "files are not wrapped as RecordIO",
            "InputDataConfig.CompressionType": _PIPE,
        },
        refused={
            "AlgorithmSpecification.AlgorithmName": "marketplace algorithms are on AWS only",
            "InputDataConfig.DataSource.S3DataSource.AttributeNames": "augmented manifests are read in Pipe mode only",
            "InputDataConfig.DataSource.FileSystemDataSource": "EFS and FSx are not here",
            "InputDataConfig.DataSource.DatasetSource": "only serverless jobs read a hub's datasets",
            "ServerlessJobConfig ModelPackageConfig":
                "serverless customization runs on AWS only; in a rehearsal a stand-in performs it",
            "ResourceConfig.InstancePreferences": _PLACES,
        },
    ),
    "CreateTransformJob": _rules(
        "TransformJobName ModelName MaxPayloadInMB BatchStrategy Environment TransformInput TransformOutput "
        "TransformResources.InstanceCount DataProcessing Tags ExperimentConfig",
        {
            "TransformOutput.KmsKeyId TransformResources.VolumeKmsKeyId DataCaptureConfig.KmsKeyId": _KEYS,
            "TransformResources.InstanceType TransformResources.TransformAmiVersion": _MACHINE,
            "MaxConcurrentTransforms": "a process takes its payloads one by one, with the same answers",
            "ModelClientConfig": "no time limit is set for a payload",
            "ExperimentConfig.RunName": "it is shown by Describe only",
        },
        said={"DataCaptureConfig": "nothing is captured"},
        refused={},
    ),
    "CreateHyperParameterTuningJob": _rules(
        "HyperParameterTuningJobName HyperParameterTuningJobConfig WarmStartConfig Tags TrainingJobDefinition "
        "TrainingJobDefinitions",
        {
            "TrainingJobDefinition.HyperParameterTuningResourceConfig.AllocationStrategy "
            "TrainingJobDefinitions.HyperParameterTuningResourceConfig.AllocationStrategy": _PLACES,
            "TrainingJobDefinition.HyperParameterTuningResourceConfig.VolumeKmsKeyId "
            "TrainingJobDefinitions.HyperParameterTuningResourceConfig.VolumeKmsKeyId": _KEYS,
            "HyperParameterTuningJobConfig.TuningJobCompletionCriteria.ConvergenceDetected":
                "a search without it tries more values, and none less",
        },
        said={},
        refused={
            "HyperParameterTuningJobConfig.StrategyConfig.HyperbandStrategyConfig": "Hyperband is not here",
            "HyperParameterTuningJobConfig.ParameterRanges.AutoParameters Autotune "
            "TrainingJobDefinition.HyperParameterRanges.AutoParameters "
            "TrainingJobDefinitions.HyperParameterRanges.AutoParameters": "give the ranges",
        },
    ),
    "CreateModel": _rules(
        "ModelName PrimaryContainer Containers ExecutionRoleArn Tags EnableNetworkIsolation",
        {
            "PrimaryContainer.ImageConfig Containers.ImageConfig": "no image is pulled",
            "InferenceExecutionConfig": "InvokeEndpoint with a TargetContainerHostname is refused",
            "PrimaryContainer.MultiModelConfig Containers.MultiModelConfig":
                "InvokeEndpoint is refused where a container holds several models",
            "PrimaryContainer.ContainerMetricsConfig Containers.ContainerMetricsConfig": _NO_METRICS,
            "VpcConfig": _NO_VPC,
        },
        said={},
        refused={},
    ),
    "CreateModelPackage": _rules(
        "ModelPackageName ModelPackageGroupName InferenceSpecification ModelApprovalStatus DriftCheckBaselines Tags "
        "ClientToken",
        {
            "ModelPackageDescription ModelPackageRegistrationType SourceAlgorithmSpecification CertifyForMarketplace "
            "MetadataProperties ModelMetrics Domain Task SamplePayloadUrl CustomerMetadataProperties "
            "SourceUri ModelCard "
            "ModelLifeCycle ManagedStorageType AdditionalInferenceSpecifications": "a registry keeps and shows it",
            "ValidationSpecification SkipModelValidation": "a package is not validated",
            "SecurityConfig": _KEYS,
        },
        said={},
        refused={},
    ),
    "CreateEndpointConfig": _rules(
        "EndpointConfigName ProductionVariants Tags",
        {
            "AsyncInferenceConfig": "InvokeEndpointAsync is refused",
            "ExecutionRoleArn EnableNetworkIsolation": "it is for inference components, which are refused",
            "VpcConfig": _NO_VPC,
            "MetricsConfig": _NO_METRICS,
            "CrossRegionTrafficConfig": _MACHINE,
            "KmsKeyId": _KEYS,
        },
        said={
            "DataCaptureConfig": "nothing is captured",
            "ShadowProductionVariants": "shadow variants get no payloads",
            "ExplainerConfig": "nothing explains the answers",
        },
        refused={},
    ),
    "CreateEndpoint": _rules(
        "EndpointName EndpointConfigName Tags",
        {"DeploymentConfig": "the new models take over all at once, when all are loaded"},
        said={},
        refused={},
    ),
}  # fmt: skip
"""By operation, in the order of their paths."""

_SAME_AS_TRAINING = ("TrainingJobDefinition", "TrainingJobDefinitions")
"""Definitions of a tuning job: what is below is a training job's, where the table says nothing else."""


def find_rule(operation: str, path: tuple[str, ...]) -> MemberRule | None:
    """The rule for a member: that of its own path, or of the nearest above it. None for a member that has none."""
    found = [rule for rule in REQUEST_MEMBERS.get(operation, ()) if path[: len(rule.path)] == rule.path]
    longest = max(found, key=lambda rule: len(rule.path), default=None)
    if longest is not None and path[0] in _SAME_AS_TRAINING and len(longest.path) == 1 and len(path) > 1:
        return find_rule("CreateTrainingJob", path[1:]) or longest
    return longest


def iter_members(operation: str, request: Mapping[str, Any], effect: Effect) -> Iterator[MemberRule]:
    """The members of a request that have an effect of a kind, each once. What is null or empty is not there."""
    for rule in REQUEST_MEMBERS.get(operation, ()):
        if rule.effect is effect and _has_value(request, rule.path):
            yield rule


def _has_value(value: Any, path: tuple[str, ...]) -> bool:
    if isinstance(value, list):
        return any(_has_value(entry, path) for entry in value)
    if not path:
        return value not in (None, "", {}, "None")
    return isinstance(value, dict) and _has_value(value.get(path[0]), path[1:])
