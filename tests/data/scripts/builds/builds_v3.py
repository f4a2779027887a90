# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""Kinds of steps that SDK v3 has, each with code of its own: what a build depends on is tried on all of them.

The name of a step begins with its row in the table of builds; `code/ROW` is what that row's steps use.
"""

from pathlib import Path

from helpers import factor
from sagemaker.core import image_uris
from sagemaker.core.clarify import BiasConfig, DataConfig
from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.model_monitor import DatasetFormat
from sagemaker.core.parameter import ContinuousParameter
from sagemaker.core.processing import FrameworkProcessor, Processor, ScriptProcessor
from sagemaker.core.resources import Model
from sagemaker.core.shapes import (
    ContainerDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.spark.processing import PySparkProcessor
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.mlops.workflow import (
    CacheConfig,
    ClarifyCheckStep,
    EMRStep,
    EMRStepConfig,
    LambdaStep,
    ModelStep,
    MonitorBatchTransformStep,
    NotebookJobStep,
    Pipeline,
    ProcessingStep,
    QualityCheckStep,
    TrainingStep,
    TransformStep,
    TuningStep,
)
from sagemaker.mlops.workflow.check_job_config import CheckJobConfig
from sagemaker.mlops.workflow.clarify_check_step import DataBiasCheckConfig
from sagemaker.mlops.workflow.function_step import step
from sagemaker.mlops.workflow.quality_check_step import DataQualityCheckConfig
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

HERE = Path(__file__).parent
CODE = HERE / "code"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/steps:1"
CACHE = CacheConfig(enable_caching=True, expire_after="P1D")
MODEL_NAME = ParameterString("ModelName", default_value="model")
METRICS = [{"Name": "loss", "Regex": "loss=(.*?);"}]


class Greeting:
    def __init__(self, word):
        self.word = word


def add_one(value):
    return value + 1


def double(value):
    return 2 * value


def greet(name):
    return Greeting("hello").word + " " + name


def get_pipeline(sagemaker_session, role, region):
    common = {"role": role, "sagemaker_session": sagemaker_session}
    one = {**common, "instance_count": 1, "instance_type": "ml.m5.large"}
    image = image_uris.retrieve("sklearn", region, version="1.2-1")
    parts = [processing, training, models, checks, others, functions]
    steps = [made for part in parts for made in part(common, one, image)]
    return Pipeline("builds-v3", parameters=[MODEL_NAME], steps=steps, sagemaker_session=sagemaker_session)


def read_from(path, name):
    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=str(path),
            local_path=f"/opt/ml/processing/input/{name}",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
        ),
    )


def processing(common, one, image):
    processor = Processor(image_uri=IMAGE, **one)
    script = ScriptProcessor(image_uri=IMAGE, command=["python3"], **one)
    framework = FrameworkProcessor(image_uri=image, **one)
    spark = PySparkProcessor(framework_version="3.3", base_job_name="spark", **one)
    output = ProcessingOutput(
        output_name="data",
        s3_output=ProcessingS3Output(
            s3_uri="s3://bucket/out", local_path="/opt/ml/processing/data", s3_upload_mode="EndOfJob"
        ),
    )
    settings = [{"Classification": "spark-defaults", "Properties": {"spark.executor.memory": "2g"}}]
    return [
        ProcessingStep(
            "Processor",
            step_args=processor.run(
                inputs=[read_from(CODE / "processor" / "data.csv", "data"), read_from(CODE / "processor", "folder")]
            ),
            cache_config=CACHE,
        ),
        ProcessingStep("ScriptProcessor", step_args=script.run(code=str(CODE / "script_processor" / "run.py"))),
        ProcessingStep(
            "FrameworkProcessor",
            step_args=framework.run(code="run.py", source_dir=str(CODE / "framework_processor"), outputs=[output]),
        ),
        ProcessingStep(
            "PySpark",
            step_args=spark.run(
                submit_app=str(CODE / "pyspark" / "run.py"),
                submit_py_files=[str(CODE / "pyspark" / "extra.py")],
                configuration=settings,
                spark_event_logs_s3_uri="s3://bucket/logs",
            ),
        ),
    ]


def training(common, one, image):
    compute = Compute(instance_type="ml.m5.large", instance_count=1)

    def trainer(row, **more):
        code = SourceCode(source_dir=str(CODE / row), entry_script="train.py")
        return ModelTrainer(training_image=image, source_code=code, compute=compute, **common, **more)

    data = InputData(channel_name="train", data_source=str(CODE / "local_inputs" / "data.csv"))
    tuner = HyperparameterTuner(
        model_trainer=trainer("tuner"),
        objective_metric_name="loss",
        hyperparameter_ranges={"lr": ContinuousParameter(0.1, 0.9)},
        metric_definitions=METRICS,
        max_jobs=2,
        max_parallel_jobs=2,
    )
    several = HyperparameterTuner(
        model_trainer=trainer("tuner_several"),
        objective_metric_name="loss",
        hyperparameter_ranges={"lr": ContinuousParameter(0.1, 0.9)},
        metric_definitions=METRICS,
        max_jobs=3,
        max_parallel_jobs=3,
    )
    recipe = ModelTrainer.from_recipe(
        training_recipe=str(CODE / "recipe" / "recipe.yaml"), training_image=IMAGE, compute=compute, **common
    )
    return [
        TrainingStep("ModelTrainer", step_args=trainer("estimator").train(), cache_config=CACHE),
        TrainingStep("LocalInputs", step_args=trainer("local_inputs").train(input_data_config=[data])),
        TuningStep(name="Tuner", step_args=tuner.tune()),
        TuningStep(name="SecondTuner", step_args=several.tune()),
        TrainingStep("Recipe", step_args=recipe.train()),
    ]


def models(common, one, image):
    session = common["sagemaker_session"]

    def builder(model_data="s3://bucket/model.tar.gz", row=None):
        code = {} if row is None else {"source_dir": str(CODE / row), "entry_script": "inference.py"}
        return ModelBuilder(
            image_uri=image,
            s3_model_data_url=model_data,
            role_arn=common["role"],
            source_code=SourceCode(**code) if code else None,
            sagemaker_session=session,
        )

    trainer = ModelTrainer(
        training_image=image,
        source_code=SourceCode(source_dir=str(CODE / "repack"), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        **common,
    )
    train = TrainingStep("RepackTrain", step_args=trainer.train())
    artifacts = train.properties.ModelArtifacts.S3ModelArtifacts
    registered = {
        "content_types": ["text/csv"],
        "response_types": ["text/csv"],
        "inference_instances": ["ml.m5.large"],
        "transform_instances": ["ml.m5.large"],
        "model_package_group_name": "group",
    }
    create = ModelStep("ModelBuilder", step_args=builder().build())
    transformer = Transformer(
        model_name=create.properties.ModelName,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
    )
    containers = [
        Model(
            model_name=name,
            primary_container=ContainerDefinition(image=IMAGE, model_data_url=f"s3://bucket/{name}.tar.gz"),
        )
        for name in ("model", "other")
    ]
    whole = ModelBuilder(model=containers, role_arn=common["role"], sagemaker_session=session)
    return [
        create,
        ModelStep("PipelineModel", step_args=whole.build()),
        ModelStep("ModelCode", step_args=builder(row="model").build()),
        ModelStep("ModelRegister", step_args=builder(row="model").register(**registered)),
        train,
        ModelStep("RepackSourceDir", step_args=builder(artifacts, "repack_source_dir").register(**registered)),
        ModelStep("Repack", step_args=builder(artifacts, "repack").build()),
        TransformStep("Transform", step_args=transformer.transform(data="s3://bucket/data")),
    ]


def checks(common, one, image):
    job = CheckJobConfig(**one)
    bias = DataBiasCheckConfig(
        data_config=DataConfig(
            s3_data_input_path="s3://bucket/train.csv",
            s3_output_path="s3://bucket/clarify",
            label=0,
            dataset_type="text/csv",
        ),
        data_bias_config=BiasConfig(label_values_or_threshold=[1], facet_name=["Age"]),
    )
    quality = DataQualityCheckConfig(
        baseline_dataset="s3://bucket/train.csv",
        dataset_format=DatasetFormat.csv(),
        output_s3_uri="s3://bucket/quality",
        record_preprocessor_script=str(CODE / "quality_check" / "preprocess.py"),
    )
    transformer = Transformer(MODEL_NAME, 1, "ml.m5.large", sagemaker_session=common["sagemaker_session"])
    monitored = MonitorBatchTransformStep(
        "MonitorBatchTransform",
        transform_step_args=transformer.transform(data="s3://bucket/data"),
        monitor_configuration=quality,
        check_job_configuration=job,
    )
    return [
        ClarifyCheckStep("ClarifyCheck", clarify_check_config=bias, check_job_config=job, skip_check=False),
        QualityCheckStep("QualityCheck", quality_check_config=quality, check_job_config=job, skip_check=False),
        *monitored.steps,  # the SDK's pipeline does not take the collection itself
    ]


def others(common, one, image):
    notebook = {
        "image_uri": "683313688378.dkr.ecr.us-east-1.amazonaws.com/notebooks:1",
        "kernel_name": "python3",
        "role": common["role"],
    }
    lambda_function = Lambda(
        function_name="builds-v3",
        execution_role_arn=common["role"],
        script=str(CODE / "lambda" / "handle.py"),
        handler="handle.handler",
        session=common["sagemaker_session"],
    )
    emr = EMRStepConfig(jar="s3://bucket/job.jar", args=["--day", "today"])
    return [
        NotebookJobStep(name="NotebookNamed", input_notebook=str(CODE / "notebook_named" / "run.ipynb"), **notebook),
        NotebookJobStep(
            input_notebook=str(CODE / "notebook" / "Notebook.ipynb"),
            initialization_script=str(CODE / "notebook" / "init.sh"),
            **notebook,
        ),
        LambdaStep("Lambda", lambda_func=lambda_function, inputs={"a": 1}),
        EMRStep("Emr", display_name="Emr", description="A jar", cluster_id="j-1", step_config=emr),
    ]


def functions(common, one, image):
    settings = {"role": common["role"], "image_uri": IMAGE, "instance_type": "ml.m5.large"}
    scale = factor()

    def closure(value):
        return scale * value

    first = step(add_one, name="FunctionPlain", **settings)(1)
    requirements = str(CODE / "function_dependencies_v3" / "requirements.txt")
    second = step(double, name="FunctionDependencies", dependencies=requirements, **settings)(first)
    third = step(closure, name="FunctionClosure", **settings)(second)
    return [third, step(greet, name="FunctionClass", **settings)("you"), step(add_one, **settings)(5)]
