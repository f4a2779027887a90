"""``validate``: what SageMaker would refuse in a definition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    SOURCE_HELP,
    add_json_option,
    add_policy_options,
    add_script_options,
    add_variable_option,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_sm_pipelines.cli.definition_files import Source
    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.definition.variants import Variant
    from airflow_sm_pipelines.documents import HeldDefinition
    from airflow_sm_pipelines.policy import TeamPolicy


UNREADABLE = 2
"""The exit code when a definition could not be read; what could be read is told all the same."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "validate",
        help="say what SageMaker would refuse in a definition",
        description="Check definitions as SageMaker would, and more: structure, references, cycles, the limits of the "
        "service, and the arguments of steps against the API. Nothing is written to SageMaker; building a script "
        "uploads its steps' code to S3.",
        epilog="Exit codes: 0 valid, warnings allowed; 1 at least one error; 2 a definition could not be read.",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCE_HELP)
    add_json_option(parser, "the findings")
    add_variable_option(parser)
    parser.add_argument("--strict", action="store_true", help="let warnings count as errors")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="list every place that the policy is about, with its value and the verdict",
    )
    add_policy_options(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Say what is wrong with definitions; 1 when SageMaker would refuse one."""
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_policy, read_sources
    from airflow_sm_pipelines.cli.terminal import complain, say_json, say_painted

    policy = read_policy(arguments)
    if arguments.explain and policy is None:
        raise UnreadableSourceError("--explain lists what a policy is about: name its file with --policy-file.")
    sources = [source for name in arguments.sources for source in read_sources(name, arguments)]
    refuse_unused_variables(arguments)
    faults = [source.held.fault for source in sources if source.held is not None and source.held.fault]
    sources = [source for source in sources if source.held is None or not source.held.fault]
    reports = [
        _inspect(source, policy, is_filled_in=arguments.policy == "apply", is_explained=arguments.explain)
        for source in sources
    ]
    if arguments.as_json:
        say_json(reports[0] if len(reports) == 1 else reports)
    else:
        for report, source in zip(reports, sources, strict=True):
            say_painted(_render(report, source.place))
    complain(*(f"sm-pipelines: {fault}" for fault in faults))
    if faults:
        return UNREADABLE
    failing = ("error", "warning") if arguments.strict else ("error",)
    return int(any(finding["severity"] in failing for report in reports for finding in _findings(report)))


def _inspect(
    source: Source, policy: TeamPolicy | None, *, is_filled_in: bool, is_explained: bool = False
) -> JsonObject:
    """The report on one definition, as ``--json`` shows it."""
    from airflow_sm_pipelines.documents import HeldDefinition, inspect_held

    held = source.held or HeldDefinition(source.text)
    definition, problems, variants = inspect_held(held)
    findings: list[JsonValue] = [
        {
            "severity": "error",
            "rule": "structure",
            "path": problem.path,
            "line": problem.line,
            "column": problem.column,
            "message": problem.message,
        }
        for problem in problems
    ]
    if definition is not None and (policy is not None or not problems):
        findings += _check(definition, variants, held, policy, is_filled_in=is_filled_in)
    findings += _explain_unknown(held)
    is_valid = not any(finding["severity"] == "error" for finding in findings if isinstance(finding, dict))
    report: JsonObject = {"source": source.name, "valid": is_valid, "findings": findings}
    if definition is not None:
        report["steps"] = sum(1 for _ in definition.iter_steps())
        report["parameters"] = len(definition.parameters)
    if is_explained and definition is not None and policy is not None:
        report["places"] = _explain(definition, held, policy, is_filled_in=is_filled_in)
    return report


def _explain(
    definition: PipelineDefinition, held: HeldDefinition, policy: TeamPolicy, *, is_filled_in: bool
) -> list[JsonValue]:
    """Every governed place: where it is, what it holds or can hold, and what the policy says of it."""
    from airflow_sm_pipelines.definition import Missing
    from airflow_sm_pipelines.definition.json_text import JsonText
    from airflow_sm_pipelines.definition.json_value import format_path
    from airflow_sm_pipelines.documents import locate_in_document
    from airflow_sm_pipelines.policy import judge_places, with_team_defaults

    if is_filled_in:
        definition = with_team_defaults(definition, policy)
    document = JsonText(held.text)
    document.load()
    places: list[JsonValue] = []
    for verdict in judge_places(definition, policy):
        place = verdict.place
        line, column = locate_in_document(held, *document.locate(place.path))
        places.append(
            {
                "path": format_path(place.path),
                "line": line,
                "column": column,
                "step": place.step.name if place.step is not None else None,
                "kind": str(place.kind),
                "key": verdict.key,
                "is_missing": isinstance(place.value, Missing),
                "value": None if isinstance(place.value, Missing) else place.value,
                "possible_values": [] if isinstance(place.value, Missing) else [*verdict.possible.values],
                "unknown": [gap.name for gap in verdict.possible.unknowns],
                "verdict": verdict.status,
            }
        )
    return places


def _explain_unknown(held: HeldDefinition) -> list[JsonValue]:
    """A warning that names what is not filled in, so that nobody takes what was not checked for checked."""
    from airflow_sm_pipelines.documents import explain_unknown

    message = explain_unknown(held)
    if not message:
        return []
    return [{"severity": "warning", "rule": "unknown", "path": "", "line": None, "column": None, "message": message}]


def _check(
    definition: PipelineDefinition,
    variants: Sequence[Variant] | None,
    held: HeldDefinition,
    policy: TeamPolicy | None,
    *,
    is_filled_in: bool,
) -> list[JsonValue]:
    from airflow_sm_pipelines.definition.json_text import JsonText
    from airflow_sm_pipelines.documents import locate_in_document
    from airflow_sm_pipelines.policy import DEFAULT_RULES, check_definition, make_team_rule, with_team_defaults

    rules = DEFAULT_RULES
    if policy is not None:
        rules = (*DEFAULT_RULES, make_team_rule(policy))
        if is_filled_in:
            definition = with_team_defaults(definition, policy)
            variants = variants and [
                replace(one, definition=with_team_defaults(one.definition, policy)) for one in variants
            ]
    document = JsonText(held.text)
    document.load()
    found: list[JsonValue] = []
    findings = check_definition(definition, rules=rules, variants=variants)
    for finding in sorted(findings, key=lambda finding: finding.severity.value):
        line, column = locate_in_document(held, *document.locate(finding.place))
        found.append(
            {
                "severity": finding.severity.value,
                "rule": finding.rule,
                "path": finding.path,
                "line": line,
                "column": column,
                "message": " ".join(filter(None, (finding.message, finding.fix))),
            }
        )
    return found


def _findings(report: JsonObject) -> list[JsonObject]:
    return _objects(report["findings"])


def _objects(value: JsonValue) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _render(report: JsonObject, file: str) -> str:
    from airflow_sm_pipelines.cli.terminal import paint
    from airflow_sm_pipelines.printable_text import clean

    name, findings = clean(report["source"]), _findings(report)
    lines = []
    for finding in findings:
        place = name if finding["line"] is None else f"{clean(file)}:{finding['line']}:{finding['column']}"
        severity = str(finding["severity"])
        path = clean(f"{finding['path']}: ") if finding["path"] else ""
        label = paint(severity, "red" if severity == "error" else "yellow")
        lines.append(f"{place}: {label}: {path}{clean(finding['message'])}")
    lines += [_render_place(name, place) for place in _objects(report.get("places"))]
    counts = _counts([str(finding["severity"]) for finding in findings])
    if report["valid"]:
        size = f"{_plural(report['steps'], 'step')}, {_plural(report['parameters'], 'parameter')}"
        lines.append(f"{name}: {paint('valid', 'green')} ({size}{f'; {counts}' if counts else ''})")
    else:
        lines.append(f"{name}: {paint('invalid', 'red')} ({counts})")
    return "\n".join(lines)


_VERDICT_COLOURS = {"kept": "green", "broken": "red", "unknown": "red"}


def _render_place(name: str, place: JsonObject) -> str:
    """One line of ``--explain``."""
    import json

    from airflow_sm_pipelines.cli.terminal import paint
    from airflow_sm_pipelines.printable_text import clean

    value = "nothing" if place["is_missing"] else json.dumps(place["value"], ensure_ascii=False)
    verdict = str(place["verdict"])
    shown = paint(verdict, _VERDICT_COLOURS.get(verdict, "yellow"))
    text = clean(f"{place['path']}: {place['kind']} ({place['key']}): {value}")
    return f"{name}:{place['line']}:{place['column']}: {shown}: {text}"


def _counts(severities: Sequence[str]) -> str:
    kinds = (("error", severities.count("error")), ("warning", severities.count("warning")))
    return ", ".join(_plural(count, kind) for kind, count in kinds if count)


def _plural(count: JsonValue, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
