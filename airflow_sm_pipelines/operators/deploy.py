"""The operator that deploys a pipeline definition to SageMaker, and makes a new version only if something changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.valid_names import parse_domain_id
from airflow_sm_pipelines.links.buttons import SageMakerPipelineLink
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.option_reader import parse_arguments, parse_flag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_sm_pipelines.deployment.deployer import Deployment
    from airflow_sm_pipelines.option_reader import PolicyMode


class SageMakerDeployPipelineOperator(SageMakerPipelinesOperator):
    """Deploy a SageMaker pipeline: create it, update it, or leave it alone when nothing changed.

    The definition is checked as a whole before any write, and compared with the deployed one in canonical form; what
    changed is in the log. A changed definition makes a new version; a changed role or description does not.

    **XComs.** ``multiple_outputs`` is on: ``pipeline_name``, ``pipeline_arn``, ``pipeline_version_id`` (a number),
    ``action`` (``"created"``, ``"updated"``, ``"unchanged"``), ``definition_hash`` and ``aliases`` are XComs of
    their own, so ``deploy.output["pipeline_name"]`` resolves, and the return value is a dict of them.

    :param pipeline: ``"script.py:function"``, ``"script.py:pipeline"``, ``"script.py"`` or the same of a notebook
        (compiled with the SageMaker SDK in an interpreter of its own), the path of a file that holds a definition
        (itself, a saved DescribePipeline answer, a Terraform plan, a template; ``"file.json#Name"`` names one of
        several), ``"s3://bucket/key"``, JSON text, or a dict. Relative paths start at the DAG file's folder.
        JSON text and a dict are never rendered: ``{{ }}`` in them is data.
    :param role_arn: the role that executions assume; needed to create a pipeline, kept where not given.
    :param pipeline_name: needed for everything but a script, which may name its pipeline itself. A template makes a
        name of its own for each run, as ``"train-{{ dag_run.run_after | ts_nodash }}"``.
    :param config: handed to the script's function as ``config``; JSON.
    :param interpreter: path of a Python that has the SDK, instead of one made from the script's requirements.
    :param requirements: what the script needs, as ``["sagemaker>=2.257,<3"]``, or the path of a requirements file; for
        a script whose header does not say so, and beating one that does.
    :param script_args: the command line of a script that reads one, as ``["--bucket", "b", "--threshold", "0.9"]``; for
        scripts that are run as ``python pipeline.py --bucket b``.
    :param script_env: environment variables for the script, as ``{"STAGE": "test"}``, besides those of the worker.
        AWS's come from the connection.
    :param working_dir: the folder in which the script runs, and from which it imports besides its own, such as the
        repository's root. By default its own folder.
    :param aliases: aliases to point to this version; taken from the versions that hold them.
    :param tags: by key, or as AWS's list of ``{"Key": ..., "Value": ...}``; added to the pipeline, or changed; other
        tags stay.
    :param description: of the pipeline; the script's where not given.
    :param version_name: the display name of a new version; made from DAG, task and run where not given.
    :param version_description: the description of a new version; where not given, DAG, run and task, and the Git
        commit of the script's repository or the DAG bundle's version where there is one.
    :param pipeline_display_name: shown in Studio.
    :param max_parallel_steps: steps of one execution that may run at once; the script's, else the deployed one, is
        kept.
    :param default_bucket: the script's bucket; SageMaker's default bucket where not given.
    :param definition_bucket: where a definition of 100 KB and more goes; ``default_bucket``'s rule where not given.
    :param policy_file: a TOML file with the team's rules, checked besides what SageMaker itself demands. Relative
        paths start at the DAG file's folder.
    :param policy: ``"enforce"`` refuses a definition that SageMaker or the team would refuse, with all findings and
        before any write; ``"apply"`` first fills the team's network, keys, limits and tags into the jobs that have
        none; ``"warn"`` only logs the findings, ``"off"`` does not look.
    :param cost_tags: tags for every job that the steps start, the same each time, as ``{"team": "forecasting"}``.
        Added with them are the pipeline, the execution, the step, the DAG and its run, as expressions, so that no run
        makes a version; give the Run operator ``COST_PARAMETERS`` for the last two. An empty dict adds only these.
    :param compile_timeout_seconds: how long the script may run, its environment already made.
    :param cache: whether an earlier build of the script may be taken; ``False`` builds it anew each time.
    :param studio_domain_id: ``d-…``: lets the link lead to the pipeline itself instead of to Studio.
    """

    custom_operator_name = "SM deploy pipeline"
    template_fields: Sequence[str] = (
        "pipeline",
        "role_arn",
        "pipeline_name",
        "config",
        "interpreter",
        "requirements",
        "script_args",
        "script_env",
        "working_dir",
        "cache",
        "aliases",
        "tags",
        "description",
        "version_name",
        "version_description",
        "pipeline_display_name",
        "max_parallel_steps",
        "default_bucket",
        "definition_bucket",
        "policy_file",
        "policy",
        "cost_tags",
        "compile_timeout_seconds",
        "studio_domain_id",
        *AWS_TEMPLATE_FIELDS,
    )
    template_fields_renderers = {"config": "json", "tags": "json", "cost_tags": "json"}
    operator_extra_links: tuple[BaseOperatorLink, ...] = (SageMakerPipelineLink(),)

    def __init__(
        self,
        *,
        pipeline: str | Mapping[str, Any],
        role_arn: str | None = None,
        pipeline_name: str | None = None,
        config: Mapping[str, Any] | None = None,
        interpreter: str | None = None,
        requirements: str | Sequence[str] | None = None,
        script_args: Sequence[str] | None = None,
        script_env: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        aliases: Sequence[str] | None = None,
        tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
        description: str | None = None,
        version_name: str | None = None,
        version_description: str | None = None,
        pipeline_display_name: str | None = None,
        max_parallel_steps: int | None = None,
        default_bucket: str | None = None,
        definition_bucket: str | None = None,
        policy_file: str | None = None,
        policy: PolicyMode = "enforce",
        cost_tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
        compile_timeout_seconds: float = 600,
        cache: bool = True,
        studio_domain_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.role_arn = role_arn
        self.pipeline_name = pipeline_name
        self.config = config
        self.interpreter = interpreter
        self.requirements = requirements
        self.script_args = script_args
        self.script_env = script_env
        self.working_dir = working_dir
        self.aliases = aliases
        self.tags = tags
        self.description = description
        self.version_name = version_name
        self.version_description = version_description
        self.pipeline_display_name = pipeline_display_name
        self.max_parallel_steps = max_parallel_steps
        self.default_bucket = default_bucket
        self.definition_bucket = definition_bucket
        self.policy_file = policy_file
        self.policy = policy
        self.cost_tags = cost_tags
        self.compile_timeout_seconds = compile_timeout_seconds
        self.cache = cache
        self.studio_domain_id = studio_domain_id
        self._deployment: Deployment | None = None

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        """Render the template fields, but never the text of a definition: braces in it are data.

        Airflow calls this for mapped tasks, too. It skips the objects whose ids it has seen.
        """
        if _is_definition(parent.pipeline):
            parent.pipeline = _resolve(parent.pipeline, context)
            seen_oids.add(id(parent.pipeline))
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Load the definition, check it, deploy what differs, move the aliases, and give the XComs."""
        from airflow_sm_pipelines.airflow_task.settings import adopt_settings
        from airflow_sm_pipelines.airflow_task.task_identity import read_provenance
        from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
        from airflow_sm_pipelines.deployment.options import DeployOptions
        from airflow_sm_pipelines.deployment.source import resolve_code_path
        from airflow_sm_pipelines.links.addresses import resolve_pipeline_links

        parse_arguments(self, {"studio_domain_id": (parse_domain_id, None), "cache": (parse_flag, True)})
        adopt_settings(os.environ)
        hook = self.make_hook()
        options = DeployOptions.of(self, folder=str(Path(self.dag.fileloc).parent))
        code = resolve_code_path(self.pipeline, folder=options.folder) or Path(self.dag.fileloc)
        deployment = PipelineDeployer(
            hook, options, provenance=read_provenance(context, code=code), log=self.log
        ).deploy()
        links = resolve_pipeline_links(
            hook, pipeline=deployment.pipeline_arn, execution_arn=None, studio_domain_id=self.studio_domain_id
        )
        self.publish_links(context["ti"], links)
        self._deployment = deployment
        return deployment.to_json()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """OpenLineage: the deployed version as a run facet; empty where nothing was deployed."""
        from airflow_sm_pipelines.airflow_task.lineage import make_deploy_lineage, make_no_lineage

        if self._deployment is None:
            return make_no_lineage()
        return make_deploy_lineage(self._deployment, url=self.link_addresses.get(SageMakerPipelineLink.key))


def _is_definition(pipeline: Any) -> bool:
    """Whether it is a definition itself, and no template or name of one."""
    if isinstance(pipeline, str):
        return pipeline.lstrip().startswith("{") and not pipeline.lstrip().startswith(("{{", "{%", "{#"))
    return isinstance(pipeline, Mapping)


def _resolve(value: Any, context: Context) -> Any:
    """The definition with the values of XComs that stand in it; nothing else is changed."""
    if hasattr(value, "resolve") and hasattr(value, "iter_references"):
        return value.resolve(context)
    if isinstance(value, Mapping):
        return {key: _resolve(item, context) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolve(item, context) for item in value]
    return value
