"""What AWS's guide to SageMaker Pipelines shows, one function for each thing, on the unmodified SDK v2.

A snippet that cannot run as it is printed is tried so first; then with the one change that makes it run. Each pipeline
is started twice. The last line is JSON: what each came to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker.automl.automl import AutoML, AutoMLInput
from sagemaker.clarify import BiasConfig, DataConfig
from sagemaker.estimator import Estimator
from sagemaker.inputs import CreateModelInput, TrainingInput, TransformInput
from sagemaker.lambda_helper import Lambda
from sagemaker.model import Model
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.model_monitor import DatasetFormat
from sagemaker.parameter import ContinuousParameter
from sagemaker.pipeline import PipelineModel
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.sklearn import SKLearn, SKLearnModel
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.spark.processing import PySparkProcessor
from sagemaker.transformer import Transformer
from sagemaker.tuner import HyperparameterTuner
from sagemaker.workflow.automl_step import AutoMLStep
from sagemaker.workflow.callback_step import CallbackOutput, CallbackOutputTypeEnum, CallbackStep
from sagemaker.workflow.check_job_config import CheckJobConfig
from sagemaker.workflow.clarify_check_step import ClarifyCheckStep, DataBiasCheckConfig
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.workflow.emr_step import EMRStep, EMRStepConfig
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parallelism_config import ParallelismConfiguration
from sagemaker.workflow.parameters import ParameterBoolean, ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.pipeline_experiment_config import PipelineExperimentConfig
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.quality_check_step import DataQualityCheckConfig, QualityCheckStep
from sagemaker.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.workflow.step_collections import RegisterModel
from sagemaker.workflow.steps import (
    CacheConfig,
    CreateModelStep,
    ProcessingStep,
    TrainingStep,
    TransformStep,
    TuningStep,
)

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
REGION = "us-east-1"
TERMINAL = {"Succeeded", "Failed", "Stopped"}
ROWS = {}


def row(name, change=""):
    """Register what the guide shows, and the change that makes it run."""

    def register(make):
        ROWS[name] = (make, change)
        return make

    return register


def stood_in(name, printed):
    """A step's name: for ``NameStoodIn``, a function of stand_ins.py does the work."""
    return name if printed else f"{name}StoodIn"


class Kit:
    """What several snippets stand on."""

    def __init__(self):
        self.session = PipelineSession()
        self.bucket = self.session.default_bucket()
        boto3.client("s3").put_object(Bucket=self.bucket, Key="data/rows.csv", Body=b"1,1.5,1\n2,2.5,0\n" * 20)
        boto3.client("s3").put_object(Bucket=self.bucket, Key="data/batch.csv", Body=b"1.5,1\n2.5,0\n")
        self.data = f"s3://{self.bucket}/data/rows.csv"
        self.xgboost = sagemaker.image_uris.retrieve("xgboost", REGION, version="1.7-1")
        self.queue = boto3.client("sqs").create_queue(QueueName="guide")["QueueUrl"]

    def processor(self, session=None):
        return SKLearnProcessor(
            framework_version="1.2-1",
            role=ROLE,
            instance_type="ml.m5.xlarge",
            instance_count=1,
            sagemaker_session=session or self.session,
        )

    def split(self, name="Split", **options):
        outputs = [
            ProcessingOutput(output_name=one, source=f"/opt/ml/processing/{one}")
            for one in ("train", "validation", "test")
        ]
        inputs = [ProcessingInput(source=self.data, destination="/opt/ml/processing/input")]
        arguments = self.processor().run(inputs=inputs, outputs=outputs, code="steps/split.py")
        return ProcessingStep(name=name, step_args=arguments, **options)

    def judge(self, report):
        outputs = [ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")]
        arguments = self.processor().run(outputs=outputs, code="steps/judge.py")
        return ProcessingStep(name="Judge", step_args=arguments, property_files=[report])

    def booster(self, **options):
        estimator = Estimator(
            image_uri=self.xgboost,
            role=ROLE,
            instance_type="ml.m5.xlarge",
            instance_count=1,
            output_path=f"s3://{self.bucket}/models",
            sagemaker_session=self.session,
            **options,
        )
        estimator.set_hyperparameters(objective="reg:squarederror", num_round=2)
        return estimator

    def channels(self, split):
        outputs = split.properties.ProcessingOutputConfig.Outputs
        return {
            name: TrainingInput(s3_data=outputs[name].S3Output.S3Uri, content_type="text/csv")
            for name in ("train", "validation")
        }

    def fit(self, split, **options):
        return TrainingStep(name="Fit", step_args=self.booster().fit(self.channels(split)), **options)

    def fitted(self, name="Fit", **options):
        estimator = SKLearn(
            entry_point="fit.py",
            source_dir="steps",
            framework_version="1.2-1",
            role=ROLE,
            instance_type="ml.m5.xlarge",
            sagemaker_session=self.session,
        )
        return TrainingStep(name=name, step_args=estimator.fit(TrainingInput(s3_data=self.data)), **options)

    def pipeline(self, name, steps, parameters=(), **options):
        return Pipeline(name=name, parameters=list(parameters), steps=steps, sagemaker_session=self.session, **options)


@row("parameters of each type")
def parameters(kit, printed):
    count = ParameterInteger(name="Count", default_value=1)
    more = [
        ParameterString(name="Word", default_value="a", enum_values=["a", "b"]),
        ParameterFloat(name="Part", default_value=0.5),
        ParameterBoolean(name="Really", default_value=True),
    ]
    return kit.pipeline("Parameters", [kit.split()], [count, *more])


@row("start with other parameters", change="declare the parameter that the start gives")
def start_parameters(kit, printed):
    wanted = ParameterString(name="ProcessingInstanceType", default_value="ml.m5.xlarge")
    pipeline = kit.pipeline("StartParameters", [kit.split()], [] if printed else [wanted])
    pipeline.upsert(role_arn=ROLE)
    pipeline.start(parameters={"ProcessingInstanceType": "ml.c5.xlarge"}).stop()
    return pipeline


@row("a limit of parallel steps, as a dict")
def parallelism(kit, printed):
    pipeline = kit.pipeline("Parallelism", [kit.split()])
    pipeline.create(ROLE, parallelism_config={"MaxParallelExecutionSteps": 50})
    return pipeline


@row("a limit of parallel steps, as an object", change="pass the role")
def parallelism_object(kit, printed):
    pipeline = kit.pipeline("ParallelismObject", [kit.split()])
    role = {} if printed else {"role_arn": ROLE}
    pipeline.create(**role, parallelism_config=ParallelismConfiguration(5))
    return pipeline


@row("a property file in a condition")
def property_file(kit, printed):
    report = PropertyFile(name="Report", output_name="evaluation", path="evaluation.json")
    judge = kit.judge(report)
    low = ConditionLessThanOrEqualTo(
        left=JsonGet(step_name=judge.name, property_file=report, json_path="mse"), right=6.0
    )
    fail = FailStep(name="TooHigh", error_message="The error is too high.")
    return kit.pipeline(
        "PropertyFile", [judge, ConditionStep(name="IsLow", conditions=[low], if_steps=[], else_steps=[fail])]
    )


@row("a Processing step by run()", change="give the processor a PipelineSession")
def processing(kit, printed):
    if printed:
        # A plain session starts the job at once, and run() gives nothing to make a step of.
        given = kit.processor(sagemaker.Session()).run(code="steps/judge.py", wait=False)
        return kit.pipeline("Processing", [ProcessingStep(name="Split", step_args=given)])
    return kit.pipeline("Processing", [kit.split()])


@row("a Processing step on Spark", change="let a function of yours stand in: nothing here has Spark")
def spark(kit, printed):
    processor = PySparkProcessor(
        framework_version="3.3",
        role=ROLE,
        instance_type="ml.m5.xlarge",
        instance_count=1,
        sagemaker_session=kit.session,
    )
    outputs = [ProcessingOutput(output_name="train", source="/opt/ml/processing/train")]
    arguments = processor.run(submit_app="steps/split.py", outputs=outputs)
    return kit.pipeline("Spark", [ProcessingStep(name=stood_in("Spark", printed), step_args=arguments)])


@row("a Training step on another step's outputs")
def training(kit, printed):
    split = kit.split()
    return kit.pipeline("Training", [split, kit.fit(split)])


@row("a Tuning step, and its best model")
def tuning(kit, printed):
    split = kit.split()
    tuner = HyperparameterTuner(
        kit.booster(),
        "validation:rmse",
        {"eta": ContinuousParameter(0.1, 0.5)},
        objective_type="Minimize",
        max_jobs=2,
        max_parallel_jobs=2,
    )
    tune = TuningStep(name="Tune", step_args=tuner.fit(kit.channels(split)))
    best = Model(
        image_uri=kit.xgboost,
        model_data=tune.get_top_model_s3_uri(top_k=0, s3_bucket=f"{kit.bucket}/models"),
        sagemaker_session=kit.session,
        role=ROLE,
    )
    return kit.pipeline(
        "Tuning", [split, tune, ModelStep(name="Best", step_args=best.create(instance_type="ml.m5.xlarge"))]
    )


@row("an AutoML step", change="let a function of yours stand in: nothing here has Autopilot")
def automl(kit, printed):
    auto = AutoML(role=ROLE, target_attribute_name="y", mode="ENSEMBLING", sagemaker_session=kit.session)
    inputs = [AutoMLInput(inputs=kit.data, target_attribute_name="y", channel_type="training")]
    step = AutoMLStep(name=stood_in("Auto", printed), step_args=auto.fit(inputs=inputs))
    best = ModelStep(name="Best", step_args=step.get_best_auto_ml_model(ROLE, sagemaker_session=kit.session).create())
    return kit.pipeline("AutoML", [step, best])


@row("a Model step that creates")
def model_create(kit, printed):
    split = kit.split()
    fit = kit.fit(split)
    model = Model(
        image_uri=kit.xgboost,
        model_data=fit.properties.ModelArtifacts.S3ModelArtifacts,
        sagemaker_session=kit.session,
        role=ROLE,
    )
    return kit.pipeline(
        "ModelCreate", [split, fit, ModelStep(name="Create", step_args=model.create(instance_type="ml.m5.xlarge"))]
    )


@row("a Model step that registers a model of two containers")
def model_register(kit, printed):
    split = kit.split()
    fit = kit.fit(split)
    first = SKLearnModel(
        model_data=kit_model(kit),
        entry_point="inference.py",
        source_dir="steps",
        framework_version="1.2-1",
        role=ROLE,
        sagemaker_session=kit.session,
    )
    second = Model(
        image_uri=kit.xgboost,
        model_data=fit.properties.ModelArtifacts.S3ModelArtifacts,
        sagemaker_session=kit.session,
        role=ROLE,
    )
    both = PipelineModel(models=[first, second], role=ROLE, sagemaker_session=kit.session)
    arguments = both.register(
        content_types=["application/json"],
        response_types=["application/json"],
        inference_instances=["ml.t2.medium", "ml.m5.xlarge"],
        transform_instances=["ml.m5.xlarge"],
        model_package_group_name="guide",
    )
    return kit.pipeline("ModelRegister", [split, fit, ModelStep(name="Register", step_args=arguments)])


def kit_model(kit):
    """An archive of a model that somebody made before."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.txt"))
    boto3.client("s3").put_object(Bucket=kit.bucket, Key="old/model.tar.gz", Body=buffer.getvalue())
    return f"s3://{kit.bucket}/old/model.tar.gz"


@row("the whole pipeline of the guide: process, train, judge, and by a condition register, create and transform")
def whole(kit, printed):
    status = ParameterString(name="ModelApprovalStatus", default_value="PendingManualApproval")
    batch = ParameterString(name="BatchData", default_value=f"s3://{kit.bucket}/data/batch.csv")
    split = kit.split()
    fit = kit.fit(split)
    report = PropertyFile(name="Report", output_name="evaluation", path="evaluation.json")
    judge = kit.judge(report)
    judge.add_depends_on([fit])
    model = Model(
        image_uri=kit.xgboost,
        model_data=fit.properties.ModelArtifacts.S3ModelArtifacts,
        sagemaker_session=kit.session,
        role=ROLE,
    )
    inputs = CreateModelInput(instance_type="ml.m5.large", accelerator_type="ml.eia1.medium")
    create = CreateModelStep(name="Create", model=model, inputs=inputs)
    transformer = Transformer(
        model_name=create.properties.ModelName,
        instance_type="ml.m5.xlarge",
        instance_count=1,
        output_path=f"s3://{kit.bucket}/transformed",
        sagemaker_session=kit.session,
    )
    transform = TransformStep(
        name="Transform", transformer=transformer, inputs=TransformInput(data=batch, content_type="text/csv")
    )
    place = judge.arguments["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    metrics = ModelMetrics(
        model_statistics=MetricsSource(
            s3_uri=place if not isinstance(place, str) else f"{place}/evaluation.json", content_type="application/json"
        )
    )
    register = RegisterModel(
        name="Register",
        estimator=kit.booster(),
        model_data=fit.properties.ModelArtifacts.S3ModelArtifacts,
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=["ml.t2.medium", "ml.m5.xlarge"],
        transform_instances=["ml.m5.xlarge"],
        model_package_group_name="guide",
        approval_status=status,
        model_metrics=metrics,
    )
    low = ConditionLessThanOrEqualTo(
        left=JsonGet(step_name=judge.name, property_file=report, json_path="regression_metrics.mse.value"), right=6.0
    )
    gate = ConditionStep(name="IsLow", conditions=[low], if_steps=[register, create, transform], else_steps=[])
    return kit.pipeline("Whole", [split, fit, judge, gate], [status, batch])


@row("a Callback step, and the function that answers")
def callback(kit, printed):
    output = CallbackOutput(output_name="place", output_type=CallbackOutputTypeEnum.String)
    step = CallbackStep(name="Ask", sqs_queue_url=kit.queue, inputs={"number": 5}, outputs=[output])
    return kit.pipeline("Callback", [step])


@row("a Lambda step with names as outputs", change="make each output a LambdaOutput")
def lambda_existing(kit, printed):
    outputs = ["train_file", "test_file"]
    if not printed:
        outputs = [LambdaOutput(one, LambdaOutputTypeEnum.String) for one in outputs]
    step = LambdaStep(
        name="Name",
        lambda_func=Lambda(function_arn=make_function()),
        inputs={"s3_bucket": kit.bucket, "data_file": "rows.csv"},
        outputs=outputs,
    )
    return kit.pipeline("LambdaExisting", [step])


def make_function():
    """A function that is there already."""
    made = Lambda(
        function_name="guide-there",
        execution_role_arn=ROLE,
        script="steps/handler.py",
        handler="handler.lambda_handler",
    )
    return made.upsert()["FunctionArn"]


@row("a Lambda step that makes its function")
def lambda_made(kit, printed):
    function = Lambda(
        function_name="guide-made",
        execution_role_arn=ROLE,
        script="steps/handler.py",
        handler="handler.lambda_handler",
        timeout=60,
        session=kit.session,
    )
    outputs = [LambdaOutput(one, LambdaOutputTypeEnum.String) for one in ("train_file", "test_file")]
    step = LambdaStep(name="Name", lambda_func=function, inputs={"data_file": "rows.csv"}, outputs=outputs)
    return kit.pipeline("LambdaMade", [step])


def check_options(kit, printed):
    """What both check steps take: the instance of the check, and whether a baseline is made or compared with."""
    job = CheckJobConfig(
        role=ROLE, instance_count=1, instance_type="ml.c5.xlarge", volume_size_in_gb=120, sagemaker_session=kit.session
    )
    return {
        "check_job_config": job,
        "skip_check": not printed,
        "register_new_baseline": not printed,
        "model_package_group_name": "guide-checks",
    }


@row("a ClarifyCheck step", change="register a baseline at the first time: there is none to compare with")
def clarify_check(kit, printed):
    split = kit.split()
    data = DataConfig(
        s3_data_input_path=split.properties.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri,
        s3_output_path=Join(on="/", values=["s3:/", kit.bucket, ExecutionVariables.PIPELINE_EXECUTION_ID, "bias"]),
        s3_analysis_config_output_path=f"s3://{kit.bucket}/bias",
        label=0,
        dataset_type="text/csv",
    )
    bias = BiasConfig(label_values_or_threshold=[3.0], facet_name=[2], facet_values_or_threshold=[[2]])
    step = ClarifyCheckStep(
        name="Bias",
        clarify_check_config=DataBiasCheckConfig(data_config=data, data_bias_config=bias),
        **check_options(kit, printed),
    )
    return kit.pipeline("ClarifyCheck", [split, step])


@row("a QualityCheck step", change="register a baseline at the first time: there is none to compare with")
def quality_check(kit, printed):
    split = kit.split()
    config = DataQualityCheckConfig(
        baseline_dataset=split.properties.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri,
        dataset_format=DatasetFormat.csv(header=False, output_columns_position="START"),
        output_s3_uri=Join(on="/", values=["s3:/", kit.bucket, ExecutionVariables.PIPELINE_EXECUTION_ID, "quality"]),
    )
    step = QualityCheckStep(
        name="Quality",
        quality_check_config=config,
        **check_options(kit, printed),
    )
    return kit.pipeline("QualityCheck", [split, step])


@row("an EMR step on a running cluster", change="let a function of yours stand in: nothing here has EMR")
def emr(kit, printed):
    config = EMRStepConfig(jar="s3://guide/job.jar", args=["--verbose"], properties=[{"Key": "a", "Value": "2"}])
    step = EMRStep(
        name=stood_in("Jar", printed),
        display_name="Jar",
        description="On a cluster that is there.",
        cluster_id="j-1ABCDEFG2HIJK",
        step_config=config,
    )
    return kit.pipeline("Emr", [step])


@row("a Fail step with a parameter in its text")
def fail(kit, printed):
    limit = ParameterInteger(name="Limit", default_value=5)
    text = Join(on=" ", values=["The error is greater than", limit])
    return kit.pipeline("Fail", [FailStep(name="TooHigh", error_message=text)], [limit])


@row("steps that wait for others, by add_depends_on and by data")
def order(kit, printed):
    one, other, split = kit.split("One"), kit.split("Other"), kit.split()
    fit = kit.fit(split)
    fit.add_depends_on([one])
    fit.add_depends_on([other])
    assert fit.depends_on == [one, other]
    return kit.pipeline("Order", [one, other, split, fit])


@row("caching turned on", change="name the pipeline, and pass the role to update()")
def caching(kit, printed):
    fit = kit.fitted(cache_config=CacheConfig(enable_caching=True, expire_after="PT1H"))
    if printed:
        return Pipeline(steps=[fit])
    pipeline = kit.pipeline("Caching", [fit])
    pipeline.create(ROLE)
    pipeline.update(ROLE)
    return pipeline


@row("caching turned off again", change="pass the role to update()")
def caching_off(kit, printed):
    fit = kit.fitted(cache_config=CacheConfig(enable_caching=True, expire_after="PT1H"))
    pipeline = kit.pipeline("CachingOff", [fit])
    pipeline.upsert(ROLE)
    pipeline.steps[0].cache_config.enable_caching = False
    pipeline.update(*([] if printed else [ROLE]))
    return pipeline


@row("an experiment named after pipeline and execution")
def experiment(kit, printed):
    names = PipelineExperimentConfig(ExecutionVariables.PIPELINE_NAME, ExecutionVariables.PIPELINE_EXECUTION_ID)
    return kit.pipeline("Experiment", [kit.fitted()], pipeline_experiment_config=names)


@row("no experiment")
def no_experiment(kit, printed):
    return kit.pipeline("NoExperiment", [kit.fitted()], pipeline_experiment_config=None)


@row("an experiment of its own name")
def own_experiment(kit, printed):
    names = PipelineExperimentConfig("guide-experiment", ExecutionVariables.PIPELINE_EXECUTION_ID)
    return kit.pipeline("OwnExperiment", [kit.fitted()], pipeline_experiment_config=names)


@row("a trial of its own name")
def own_trial(kit, printed):
    trial = Join(on="-", values=["trial", ExecutionVariables.PIPELINE_EXECUTION_ID])
    names = PipelineExperimentConfig(ExecutionVariables.PIPELINE_NAME, trial)
    return kit.pipeline("OwnTrial", [kit.fitted()], pipeline_experiment_config=names)


@row("retry policies")
def retries(kit, printed):
    policies = [
        StepRetryPolicy(
            exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
            expire_after_mins=5,
            interval_seconds=10,
            backoff_rate=2.0,
        ),
        SageMakerJobStepRetryPolicy(
            exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
            expire_after_mins=120,
            interval_seconds=60,
            backoff_rate=2.0,
        ),
        SageMakerJobStepRetryPolicy(
            failure_reason_types=[
                SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            ],
            max_attempts=10,
            interval_seconds=30,
            backoff_rate=2.0,
        ),
    ]
    return kit.pipeline("Retries", [kit.fitted(retry_policies=policies)])


@row("a rule that starts the pipeline", change="the member is called SageMakerPipelineParameters.PipelineParameterList")
def rule(kit, printed):
    word = ParameterString(name="Word", default_value="a")
    pipeline = kit.pipeline("Rule", [FailStep(name="End", error_message=word)], [word])
    arn = pipeline.upsert(ROLE)["PipelineArn"]
    events = boto3.client("events")
    events.put_rule(Name="guide", EventPattern=json.dumps({"source": ["guide"]}), Description="d", RoleArn=ROLE)
    given = [{"Name": "Word", "Value": "b"}]
    parameters = {
        **({"SageMakerPipelineParameter": {"SageMakerParameterList": given}} if printed else {}),
        **({} if printed else {"SageMakerPipelineParameters": {"PipelineParameterList": given}}),
    }
    target = {"Id": "1", "Arn": arn, "RoleArn": ROLE, **parameters}
    answer = events.put_targets(Rule="guide", Targets=[target])
    assert answer["FailedEntryCount"] == 0, answer
    return pipeline


@row("a rule by the clock", change="keep the rule with State DISABLED, and let Airflow's schedule start the pipeline")
def clock(kit, printed):
    state = {"RoleArn": ROLE} if printed else {"RoleArn": ROLE, "State": "DISABLED"}
    boto3.client("events").put_rule(Name="guide-clock", ScheduleExpression="rate(1 day)", **state)
    return kit.pipeline("Clock", [FailStep(name="End", error_message="over")])


@row("read the report, start with another value, stop, delete")
def run_and_delete(kit, printed):
    status = ParameterString(name="ModelApprovalStatus", default_value="PendingManualApproval")
    report = PropertyFile(name="Report", output_name="evaluation", path="evaluation.json")
    judge = kit.judge(report)
    pipeline = kit.pipeline("RunAndDelete", [judge], [status])
    json.loads(pipeline.definition())
    pipeline.upsert(role_arn=ROLE)
    execution = pipeline.start(parameters={"ModelApprovalStatus": "Approved"})
    execution.describe()
    execution.wait(delay=1)
    assert [one["StepStatus"] for one in execution.list_steps()] == ["Succeeded"]
    stopped = pipeline.start()
    stopped.stop()
    while stopped.describe()["PipelineExecutionStatus"] not in TERMINAL:
        time.sleep(0.1)
    pipeline.delete()
    return pipeline


def answer_callbacks(queue):
    """What the guide's function does with each message."""
    sqs, client = boto3.client("sqs"), boto3.client("sagemaker")
    for message in sqs.receive_message(QueueUrl=queue).get("Messages", []):
        body = json.loads(message["Body"])
        client.send_pipeline_execution_step_success(
            CallbackToken=body["token"], OutputParameters=[{"Name": "place", "Value": "here"}]
        )
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def run(kit, pipelines):
    """Start each pipeline, and wait for all; how each ended, and why."""
    client = boto3.client("sagemaker")
    arns = {name: pipeline.start().arn for name, pipeline in pipelines.items()}
    ends = {}
    deadline = time.monotonic() + 240
    while len(ends) < len(arns) and time.monotonic() < deadline:
        answer_callbacks(kit.queue)
        for name, arn in arns.items():
            found = client.describe_pipeline_execution(PipelineExecutionArn=arn)
            if name not in ends and found["PipelineExecutionStatus"] in TERMINAL:
                ends[name] = [found["PipelineExecutionStatus"], find_reason(client, arn)]
        time.sleep(0.1)
    return {name: ends.get(name, ["did not end", ""]) for name in arns}


def find_reason(client, arn):
    """Why a step of an execution failed."""
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return next((step["FailureReason"] for step in steps if step.get("FailureReason")), "")


def try_printed(kit, make):
    """What is made of a snippet as it is printed: the error, or how its execution ended."""
    try:
        pipeline = make(kit, True)
        pipeline.upsert(role_arn=ROLE)
        return run(kit, {"": pipeline})[""][1]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main():
    """Try what is named on the command line, or everything."""
    os.chdir(Path(__file__).parent)
    kit = Kit()
    rows = {name: found for name, found in ROWS.items() if len(sys.argv) == 1 or name in sys.argv[1:]}
    printed = {name: try_printed(kit, make) for name, (make, change) in rows.items() if change}
    pipelines, faults = {}, {}
    for name, (make, _) in rows.items():
        try:
            pipelines[name] = make(kit, False)
            pipelines[name].upsert(role_arn=ROLE)
        except Exception as error:
            faults[name] = f"{type(error).__name__}: {error}"
    pipelines = {name: pipeline for name, pipeline in pipelines.items() if name not in faults}
    runs = [run(kit, pipelines), run(kit, pipelines)]
    found = {
        name: {
            "change": change,
            "printed": printed.get(name),
            "fault": faults.get(name),
            "ends": [one[name] for one in runs if name in one],
        }
        for name, (_, change) in rows.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
