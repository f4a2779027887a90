"""Pipelines in what Terraform knows: a plan, a state, the outputs of a module, JSON configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.documents.terraform_values import KNOWN_AFTER_APPLY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PIPELINE_TYPES = ("aws_sagemaker_pipeline", "awscc_sagemaker_pipeline")
_STACK_TYPE = "aws_cloudformation_stack"
RESOURCE_TYPES = (*PIPELINE_TYPES, _STACK_TYPE)


@dataclass(frozen=True, slots=True)
class TerraformPipeline:
    """A resource of Terraform that is a pipeline, or a stack with pipelines.

    :param address: such as ``module.ml.aws_sagemaker_pipeline.train``.
    :param values: its attributes; those of a plan are the planned ones. Empty where it is to be destroyed.
    :param path: where they stand in the document.
    :param before: its attributes before the plan; None where it does not exist yet.
    :param has_before: whether the document is a plan, which says what was before.
    :param references: what a plan's configuration names where the definition comes from.
    """

    address: str
    values: Mapping[str, Any]
    path: tuple[str | int, ...]
    before: Mapping[str, Any] | None = None
    has_before: bool = False
    references: tuple[str, ...] = ()


def is_terraform(document: Mapping[str, Any]) -> bool:
    """Whether a document is a plan, a state or JSON configuration of Terraform."""
    if "resource" in document and isinstance(document["resource"], dict):
        return any(kind in document["resource"] for kind in RESOURCE_TYPES)
    return ("format_version" in document and "Resources" not in document) or (
        "terraform_version" in document and isinstance(document.get("resources"), list)
    )


def find_pipelines(document: Mapping[str, Any]) -> Iterator[TerraformPipeline]:
    """The pipelines of a plan, a state (also ``terraform.tfstate``) or JSON configuration."""
    if "resource" in document:
        yield from _in_configuration(document["resource"])
    elif isinstance(document.get("resource_changes"), list):
        yield from _in_plan(document)
    elif isinstance(document.get("resources"), list):
        yield from _in_state_file(document["resources"])
    else:
        for key in ("planned_values", "values"):
            if isinstance(values := document.get(key), dict):
                yield from _in_module(values.get("root_module"), (key, "root_module"))
                return


def _in_plan(document: Mapping[str, Any]) -> Iterator[TerraformPipeline]:
    for index, resource in enumerate(document["resource_changes"]):
        change = resource.get("change") if isinstance(resource, dict) else None
        if not isinstance(change, dict) or resource.get("type") not in RESOURCE_TYPES:
            continue
        after, before = change.get("after"), change.get("before")
        values = dict(after) if isinstance(after, dict) else {}
        unknown = change.get("after_unknown")
        if isinstance(unknown, dict) and values:
            values.update({key: KNOWN_AFTER_APPLY for key, is_unknown in unknown.items() if is_unknown is True})
        address = str(resource.get("address"))
        yield TerraformPipeline(
            address,
            values,
            ("resource_changes", index, "change", "after" if values else "before"),
            before=before if isinstance(before, dict) else None,
            has_before=True,
            references=_find_references(document.get("configuration"), address),
        )


def _in_module(module: Any, path: tuple[str | int, ...]) -> Iterator[TerraformPipeline]:
    if not isinstance(module, dict):
        return
    for index, resource in enumerate(module.get("resources") or ()):
        if isinstance(resource, dict) and resource.get("type") in RESOURCE_TYPES:
            values = resource.get("values")
            yield TerraformPipeline(
                str(resource.get("address")),
                values if isinstance(values, dict) else {},
                (*path, "resources", index, "values"),
            )
    for index, child in enumerate(module.get("child_modules") or ()):
        yield from _in_module(child, (*path, "child_modules", index))


def _in_state_file(resources: list[Any]) -> Iterator[TerraformPipeline]:
    for number, resource in enumerate(resources):
        if not isinstance(resource, dict) or resource.get("type") not in RESOURCE_TYPES:
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for index, instance in enumerate(resource.get("instances") or ()):
            values = instance.get("attributes") if isinstance(instance, dict) else None
            key = instance.get("index_key") if isinstance(instance, dict) else None
            suffix = "" if key is None else f"[{key}]" if isinstance(key, int) else f'["{key}"]'
            yield TerraformPipeline(
                f"{module}{resource['type']}.{resource.get('name')}{suffix}",
                values if isinstance(values, dict) else {},
                ("resources", number, "instances", index, "attributes"),
            )


def _in_configuration(resources: Mapping[str, Any]) -> Iterator[TerraformPipeline]:
    for kind in RESOURCE_TYPES:
        named = resources.get(kind)
        for name, values in (named if isinstance(named, dict) else {}).items():
            if isinstance(values, dict):
                yield TerraformPipeline(f"{kind}.{name}", values, ("resource", kind, name))


def _find_references(configuration: Any, address: str) -> tuple[str, ...]:
    """What the expression of a definition refers to, such as ``aws_s3_bucket.data.arn``."""
    module = configuration.get("root_module") if isinstance(configuration, dict) else None
    parts = address.split(".")
    while parts[0] == "module" and len(parts) > 2 and isinstance(module, dict):
        calls = module.get("module_calls")
        call = calls.get(parts[1].partition("[")[0]) if isinstance(calls, dict) else None
        module, parts = (call.get("module") if isinstance(call, dict) else None), parts[2:]
    resources = module.get("resources") if isinstance(module, dict) else None
    for resource in resources if isinstance(resources, list) else ():
        if isinstance(resource, dict) and resource.get("address") == ".".join(parts).partition("[")[0]:
            expression = (resource.get("expressions") or {}).get("pipeline_definition")
            references = expression.get("references") if isinstance(expression, dict) else None
            return tuple(map(str, references or ()))
    return ()
