"""The commands about definitions: ``compile``, ``validate`` and ``diff``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.sources import Source, UnreadableSourceError, compile_source, read_policy, read_source
from airflow_sm_pipelines.cli.terminal import paint
from airflow_sm_pipelines.definition import diff_definitions, inspect_definition, parse_definition, render_changes
from airflow_sm_pipelines.definition.json_text import JsonText

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy import TeamPolicy


def run_compile(arguments: argparse.Namespace) -> int:
    """Write the definition that a pipeline script makes."""
    policy = read_policy(arguments)
    compiled = compile_source(arguments.reference, arguments)
    document: JsonValue = json.loads(compiled.definition_text)
    if policy is not None and arguments.apply_defaults:
        document = _fill_in(parse_definition(compiled.definition_text, name=arguments.reference), policy)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    try:
        arguments.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(f"Cannot write {arguments.output}: {error.strerror}.") from None
    origin = "cached" if compiled.from_cache else compiled.sdk_version
    print(f"{arguments.output}: pipeline {compiled.name!r} ({origin})", file=sys.stderr)
    return 0


def run_validate(arguments: argparse.Namespace) -> int:
    """Say what is wrong with definitions; 1 when SageMaker would refuse one."""
    policy = read_policy(arguments)
    reports = [
        _inspect(read_source(source, arguments), policy, is_filled_in=arguments.apply_defaults)
        for source in arguments.sources
    ]
    if arguments.as_json:
        print(json.dumps(reports[0] if len(reports) == 1 else reports, indent=2, ensure_ascii=False))
    else:
        for report in reports:
            print(_render(report))
    failing = ("error", "warning") if arguments.strict else ("error",)
    return int(any(finding["severity"] in failing for report in reports for finding in _findings(report)))


def run_diff(arguments: argparse.Namespace) -> int:
    """Say what changed from one definition to another."""
    old, new = (
        parse_definition(source.text, name=source.name)
        for source in (read_source(name, arguments) for name in (arguments.old, arguments.new))
    )
    changes = diff_definitions(old, new)
    if arguments.as_json:
        document: list[JsonValue] = [
            {"kind": change.kind, "path": change.path, "before": change.before, "after": change.after}
            for change in changes
        ]
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for line in render_changes(changes).splitlines():
            print(_paint_change(line))
    return int(bool(changes) and arguments.exit_code)


def _fill_in(definition: PipelineDefinition, policy: TeamPolicy) -> JsonObject:
    """The definition with the team's defaults; what was filled in is told on standard error."""
    from airflow_sm_pipelines.policy import with_team_defaults

    filled = with_team_defaults(definition, policy)
    changes = diff_definitions(definition, filled)
    if changes:
        print(f"Filled in from {policy.name}:\n{render_changes(changes)}", file=sys.stderr)
    return filled.to_json()


def _inspect(source: Source, policy: TeamPolicy | None, *, is_filled_in: bool) -> JsonObject:
    """The report on one definition, as ``--json`` shows it."""
    definition, problems = inspect_definition(source.text)
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
    if definition is not None and not problems:
        findings += _check(definition, source.text, policy, is_filled_in=is_filled_in)
    is_valid = not any(finding["severity"] == "error" for finding in findings if isinstance(finding, dict))
    report: JsonObject = {"source": source.name, "valid": is_valid, "findings": findings}
    if definition is not None:
        report["steps"] = sum(1 for _ in definition.iter_steps())
        report["parameters"] = len(definition.parameters)
    return report


def _check(
    definition: PipelineDefinition, text: bytes, policy: TeamPolicy | None, *, is_filled_in: bool
) -> list[JsonValue]:
    from airflow_sm_pipelines.policy import DEFAULT_RULES, check_definition, make_team_rule, with_team_defaults

    rules = DEFAULT_RULES
    if policy is not None:
        rules = (*DEFAULT_RULES, make_team_rule(policy))
        if is_filled_in:
            definition = with_team_defaults(definition, policy)
    document = JsonText(text)
    document.load()
    found: list[JsonValue] = []
    for finding in sorted(check_definition(definition, rules=rules), key=lambda finding: finding.severity.value):
        line, column = document.locate(finding.place)
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
    findings = report["findings"]
    return [item for item in findings if isinstance(item, dict)] if isinstance(findings, list) else []


def _render(report: JsonObject) -> str:
    name, findings = report["source"], _findings(report)
    lines = []
    for finding in findings:
        place = name if finding["line"] is None else f"{name}:{finding['line']}:{finding['column']}"
        severity = str(finding["severity"])
        path = f"{finding['path']}: " if finding["path"] else ""
        label = paint(severity, "red" if severity == "error" else "yellow")
        lines.append(f"{place}: {label}: {path}{finding['message']}")
    counts = _counts([str(finding["severity"]) for finding in findings])
    if report["valid"]:
        size = f"{_plural(report['steps'], 'step')}, {_plural(report['parameters'], 'parameter')}"
        lines.append(f"{name}: {paint('valid', 'green')} ({size}{f'; {counts}' if counts else ''})")
    else:
        lines.append(f"{name}: {paint('invalid', 'red')} ({counts})")
    return "\n".join(lines)


def _counts(severities: Sequence[str]) -> str:
    kinds = (("error", severities.count("error")), ("warning", severities.count("warning")))
    return ", ".join(_plural(count, kind) for kind, count in kinds if count)


def _plural(count: JsonValue, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _paint_change(line: str) -> str:
    colours = {"+": "green", "-": "red", "~": "yellow"}
    return paint(line, colours.get(line.lstrip()[:1], ""))
