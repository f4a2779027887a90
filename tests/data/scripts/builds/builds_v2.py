# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Every kind of step that SDK v2 has, each with code of its own: what a build depends on is tried on all of them.

The name of a step begins with its row in the table of builds; `code/ROW` is what that row's steps use.
"""

from pathlib import Path

from helpers import factor
from sagemaker.automl.automl import AutoML, AutoMLInput
from sagemaker.clarify import BiasConfig, DataConfig
from sagemaker.debugger import Rule, rule_configs
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.lambda_helper import Lambda
from sagemaker.model import Model
from sagemaker.model_monitor import DatasetFormat
from sagemaker.pipeline import PipelineModel
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput, Processor, ScriptProcessor
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.model import SKLearnModel
from sagemaker.spark.processing import PySparkProcessor
from sagemaker.transformer import Transformer
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner
from sagemaker.workflow.automl_step import AutoMLStep
from sagemaker.workflow.check_job_config import CheckJobConfig
from sagemaker.workflow.clarify_check_step import ClarifyCheckStep, DataBiasCheckConfig
from sagemaker.workflow.emr_step import EMRStep, EMRStepConfig
from sagemaker.workflow.function_step import step
from sagemaker.workflow.lambda_step import LambdaStep
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.monitor_batch_transform_step import MonitorBatchTransformStep
from sagemaker.workflow.notebook_job_step import NotebookJobStep
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.quality_check_step import DataQualityCheckConfig, QualityCheckStep
from sagemaker.workflow.steps import CacheConfig, ProcessingStep, TrainingStep, TransformStep, TuningStep

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


def get_pipeline(sagemaker_session, role, git_repository=None):
    common = {"role": role, "sagemaker_session": sagemaker_session}
    one = {**common, "instance_count": 1, "instance_type": "ml.m5.large"}
    parts = [processing, training, tuning, models, checks, others, functions]
    steps = [made for part in parts for made in part(common, one)]
    if git_repository:
        steps += from_git(one, git_repository)
    return Pipeline("builds-v2", parameters=[MODEL_NAME], steps=steps, sagemaker_session=sagemaker_session)


def processing(common, one):
    processor = Processor(image_uri=IMAGE, **one)
    data = ProcessingInput(source=str(CODE / "processor" / "data.csv"), destination="/opt/ml/processing/input/data")
    folder = ProcessingInput(source=str(CODE / "processor"), destination="/opt/ml/processing/input/folder")
    script = ScriptProcessor(image_uri=IMAGE, command=["python3"], **one)
    framework = FrameworkProcessor(estimator_cls=SKLearn, framework_version="1.2-1", **one)
    spark = PySparkProcessor(framework_version="3.3", base_job_name="spark", **one)
    output = ProcessingOutput(output_name="data", source="/opt/ml/processing/data")
    settings = [{"Classification": "spark-defaults", "Properties": {"spark.executor.memory": "2g"}}]
    return [
        ProcessingStep("Processor", step_args=processor.run(inputs=[data, folder]), cache_config=CACHE),
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


def training(common, one):
    by_arguments = SKLearn(
        entry_point="train.py", source_dir=str(CODE / "estimator_step_args"), framework_version="1.2-1", **one
    )
    by_estimator = SKLearn(entry_point=str(CODE / "estimator" / "train.py"), framework_version="1.2-1", **one)
    rules = Estimator(IMAGE, rules=[Rule.sagemaker(rule_configs.loss_not_decreasing())], **one)
    local = Estimator(
        IMAGE,
        entry_point="train.py",
        source_dir=str(CODE / "local_inputs"),
        dependencies=[str(CODE / "local_dependency")],
        **one,
    )
    uri = local.sagemaker_session.upload_data(str(CODE / "local_inputs" / "data.csv"), key_prefix="chosen/by/the/user")
    data = {"train": "s3://bucket/data"}
    return [
        TrainingStep("EstimatorStepArgs", step_args=by_arguments.fit(data), cache_config=CACHE),
        TrainingStep("Estimator", estimator=by_estimator, inputs={"train": TrainingInput("s3://bucket/data")}),
        TrainingStep("DebuggerRules", step_args=rules.fit({"train": "s3://bucket/data"})),
        TrainingStep("LocalInputs", step_args=local.fit({"train": uri})),
    ]


def tuning(common, one):
    def tuner(row, name):
        estimator = SKLearn(
            entry_point="train.py",
            source_dir=str(CODE / row),
            framework_version="1.2-1",
            metric_definitions=METRICS,
            **one,
        )
        return HyperparameterTuner(
            estimator,
            "loss",
            {name: ContinuousParameter(0.1, 0.9)},
            metric_definitions=METRICS,
            objective_type="Minimize",
            max_jobs=2,
            max_parallel_jobs=2,
        )

    several = HyperparameterTuner.create(
        estimator_dict={
            name: SKLearn(
                entry_point="train.py",
                source_dir=str(CODE / "tuner_several"),
                framework_version="1.2-1",
                metric_definitions=METRICS,
                **one,
            )
            for name in ("a", "b")
        },
        objective_metric_name_dict={"a": "loss", "b": "loss"},
        hyperparameter_ranges_dict={name: {"lr": ContinuousParameter(0.1, 0.9)} for name in ("a", "b")},
        metric_definitions_dict={"a": METRICS, "b": METRICS},
        objective_type="Minimize",
        max_jobs=2,
        max_parallel_jobs=2,
    )
    return [
        TuningStep("Tuner", step_args=tuner("tuner", "lr").fit(), cache_config=CACHE),
        TuningStep("TunerSeveral", step_args=several.fit(inputs={"a": None, "b": None}, include_cls_metadata={})),
    ]


def models(common, one):
    plain = Model(image_uri=IMAGE, model_data="s3://bucket/model.tar.gz", **common)
    coded = SKLearnModel(
        model_data="s3://bucket/model.tar.gz",
        entry_point="inference.py",
        source_dir=str(CODE / "model"),
        framework_version="1.2-1",
        **common,
    )
    whole = PipelineModel(
        models=[
            SKLearnModel(
                model_data="s3://bucket/model.tar.gz",
                entry_point=str(CODE / "pipeline_model" / "inference.py"),
                framework_version="1.2-1",
                **common,
            ),
            Model(image_uri=IMAGE, model_data="s3://bucket/other.tar.gz", **common),
        ],
        **common,
    )
    trained = SKLearn(entry_point=str(CODE / "repack" / "train.py"), framework_version="1.2-1", **one)
    train = TrainingStep("RepackTrain", step_args=trained.fit({"train": "s3://bucket/data"}))
    artifacts = train.properties.ModelArtifacts.S3ModelArtifacts

    def repacked(**code):
        return Model(image_uri=IMAGE, model_data=artifacts, **code, **common)

    registered = {
        "content_types": ["text/csv"],
        "response_types": ["text/csv"],
        "inference_instances": ["ml.m5.large"],
        "transform_instances": ["ml.m5.large"],
        "model_package_group_name": "group",
    }
    with_folder = repacked(entry_point="inference.py", source_dir=str(CODE / "repack_source_dir"))
    with_file = repacked(entry_point=str(CODE / "repack" / "inference.py"))
    create = ModelStep("ModelCreate", step_args=plain.create(instance_type="ml.m5.large"))
    transformer = Transformer(
        model_name=create.properties.ModelName,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=common["sagemaker_session"],
    )
    return [
        create,
        ModelStep("ModelCode", step_args=coded.create(instance_type="ml.m5.large")),
        ModelStep("ModelRegister", step_args=coded.register(**registered)),
        ModelStep("PipelineModel", step_args=whole.create(instance_type="ml.m5.large")),
        ModelStep("PipelineModelRegister", step_args=whole.register(**registered)),
        train,
        ModelStep("RepackSourceDir", step_args=with_folder.register(**registered)),
        ModelStep("Repack", step_args=with_file.create(instance_type="ml.m5.large")),
        TransformStep("Transform", step_args=transformer.transform(data="s3://bucket/data")),
    ]


def checks(common, one):
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
    return [
        ClarifyCheckStep("ClarifyCheck", clarify_check_config=bias, check_job_config=job, skip_check=False),
        QualityCheckStep("QualityCheck", quality_check_config=quality, check_job_config=job, skip_check=False),
        MonitorBatchTransformStep(
            "MonitorBatchTransform",
            transform_step_args=transformer.transform(data="s3://bucket/data"),
            monitor_configuration=quality,
            check_job_configuration=job,
        ),
    ]


def others(common, one):
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/notebooks:1"
    notebook = {"image_uri": image, "kernel_name": "python3", "role": common["role"]}
    lambda_function = Lambda(
        function_name="builds-v2",
        execution_role_arn=common["role"],
        script=str(CODE / "lambda" / "handle.py"),
        handler="handle.handler",
        session=common["sagemaker_session"],
    )
    emr = EMRStepConfig(jar="s3://bucket/job.jar", args=["--day", "today"])
    automl = AutoML(target_attribute_name="y", mode="ENSEMBLING", **common)
    return [
        NotebookJobStep(name="NotebookNamed", input_notebook=str(CODE / "notebook_named" / "run.ipynb"), **notebook),
        NotebookJobStep(
            input_notebook=str(CODE / "notebook" / "Notebook.ipynb"),
            initialization_script=str(CODE / "notebook" / "init.sh"),
            **notebook,
        ),
        LambdaStep("Lambda", lambda_func=lambda_function, inputs={"a": 1}),
        EMRStep("Emr", display_name="Emr", description="A jar", cluster_id="j-1", step_config=emr),
        AutoMLStep("AutoML", step_args=automl.fit(inputs=AutoMLInput("s3://bucket/train.csv", "y"))),
    ]


def functions(common, one):
    settings = {"role": common["role"], "image_uri": IMAGE, "instance_type": "ml.m5.large"}
    scale = factor()

    def closure(value):
        return scale * value

    first = step(add_one, name="FunctionPlain", **settings)(1)
    second = step(
        double,
        name="FunctionDependencies",
        dependencies=str(CODE / "function_dependencies" / "requirements.txt"),
        **settings,
    )(first)
    third = step(closure, name="FunctionClosure", **settings)(second)
    return [third, step(greet, name="FunctionClass", **settings)("you"), step(add_one, **settings)(5)]


def from_git(one, repository):
    estimator = SKLearn(
        entry_point="train.py",
        source_dir="code/estimator",
        git_config={"repo": repository, "branch": "main"},
        framework_version="1.2-1",
        **one,
    )
    return [TrainingStep("GitConfig", step_args=estimator.fit({"train": "s3://bucket/data"}))]
