"""``validate``: what SageMaker would refuse in a definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import SOURCE_HELP, add_json_option, add_policy_options, add_script_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.cli.sources import Source
    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy import TeamPolicy


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
    parser.add_argument("--strict", action="store_true", help="let warnings count as errors")
    add_policy_options(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Say what is wrong with definitions; 1 when SageMaker would refuse one."""
    from airflow_sm_pipelines.cli.sources import read_policy, read_source
    from airflow_sm_pipelines.cli.terminal import say_json, say_painted

    policy = read_policy(arguments)
    reports = [
        _inspect(read_source(source, arguments), policy, is_filled_in=arguments.policy == "apply")
        for source in arguments.sources
    ]
    if arguments.as_json:
        say_json(reports[0] if len(reports) == 1 else reports)
    else:
        for report in reports:
            say_painted(_render(report))
    failing = ("error", "warning") if arguments.strict else ("error",)
    return int(any(finding["severity"] in failing for report in reports for finding in _findings(report)))


def _inspect(source: Source, policy: TeamPolicy | None, *, is_filled_in: bool) -> JsonObject:
    """The report on one definition, as ``--json`` shows it."""
    from airflow_sm_pipelines.definition import inspect_definition

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
    from airflow_sm_pipelines.definition.json_text import JsonText
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
    from airflow_sm_pipelines.cli.terminal import clean, paint

    name, findings = clean(report["source"]), _findings(report)
    lines = []
    for finding in findings:
        place = name if finding["line"] is None else f"{name}:{finding['line']}:{finding['column']}"
        severity = str(finding["severity"])
        path = clean(f"{finding['path']}: ") if finding["path"] else ""
        label = paint(severity, "red" if severity == "error" else "yellow")
        lines.append(f"{place}: {label}: {path}{clean(finding['message'])}")
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
