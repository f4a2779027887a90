"""A team's rules for its pipelines, as they stand in a TOML file of the team's repository.

Every key is optional: what is not written is not demanded. :mod:`team_rules` checks a definition against the policy,
:mod:`team_defaults` fills its values in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.exceptions import PolicyError
from airflow_sm_pipelines.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RULE_NAMES = (
    "team-accounts",
    "team-vpc",
    "team-isolation",
    "team-traffic-encryption",
    "team-volume-key",
    "team-output-key",
    "team-roles",
    "team-instance-types",
    "team-instance-count",
    "team-volume-size",
    "team-run-time",
    "team-spot",
    "team-tags",
    "team-images",
    "team-s3",
    "team-remote-debug",
    "team-keep-alive",
    "team-step-types",
    "team-unplaced",
)
"""The rules, by the names that findings carry and exceptions name."""


@dataclass(frozen=True, slots=True)
class PolicyException:
    """Steps that a rule leaves alone.

    :param rule: one of :data:`RULE_NAMES`.
    :param step: a step's name, ``*`` and ``?`` allowed.
    :param reason: why; it stands in the file for the next reader.
    """

    rule: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class TeamPolicy:
    """What a team demands. ``None``, false and empty mean: nothing is demanded.

    Where several are allowed, the first is the default that is filled in. Patterns know ``*`` and ``?``.

    :param name: what to call it in messages: the file.
    :param subnets: the only subnets that jobs may run in; demanding them demands a VPC.
    :param security_groups: the only security groups of jobs.
    :param volume_keys: the only KMS keys of volumes: ids, ARNs, aliases, or patterns behind the first.
    :param output_keys: the only KMS keys of what jobs write to S3.
    :param roles: patterns of the roles that jobs may assume.
    :param instance_types: patterns of instance types.
    :param max_run_seconds: the longest that a job may be allowed to run.
    :param max_wait_seconds: the longest that a spot job may be allowed to wait and run.
    :param required_tags: tags that every job, model and endpoint must carry.
    :param tag_defaults: tags that are filled in.
    :param images: patterns of container images.
    :param buckets: patterns of the S3 buckets that steps may name; empty for any.
    :param public_buckets: patterns of buckets that anyone can read, refused unless ``allows_public_s3``.
    :param accounts: the AWS accounts whose resources a definition may name; ``aws`` for AWS's own.
    :param step_types: patterns of the types that steps may have; empty for any.
    :param allows_remote_debug: whether anybody may open a shell in a job's or an endpoint's container.
    :param max_keep_alive_seconds: how long instances may be kept after a job, for the next one.
    :param unknown_allowed: patterns of what may stay unknown until a start or the execution, as a ``Get`` names it.
    """

    name: str = "policy"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    needs_isolation: bool = False
    needs_traffic_encryption: bool = False
    volume_keys: tuple[str, ...] = ()
    output_keys: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    max_instances: int | None = None
    max_volume_gb: int | None = None
    max_run_seconds: int | None = None
    needs_spot: bool = False
    max_wait_seconds: int | None = None
    required_tags: tuple[str, ...] = ()
    tag_defaults: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    allows_public_s3: bool = True
    public_buckets: tuple[str, ...] = ("sagemaker-sample-*", "sagemaker-example-*", "jumpstart-cache-*", "*-public")
    accounts: tuple[str, ...] = ()
    step_types: tuple[str, ...] = ()
    allows_remote_debug: bool = True
    max_keep_alive_seconds: int | None = None
    unknown_allowed: tuple[str, ...] = ()
    exceptions: tuple[PolicyException, ...] = ()

    def exempts(self, rule: str, step_name: str) -> bool:
        """Whether an exception lets this step pass a rule."""
        return any(entry.rule == rule and fnmatchcase(step_name, entry.step) for entry in self.exceptions)


def matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether the text matches one of the patterns: ``*`` and ``?`` stand for anything, case counts."""
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


def matches_image(image: str, patterns: tuple[str, ...]) -> bool:
    """Whether an image's address matches one of the patterns.

    Its registry must match the pattern's: ``*`` stands for no slash there, so that no repository reads as a registry.
    """
    registry, _, repository = image.partition("/")
    for pattern in patterns:
        wanted, slash, rest = pattern.partition("/")
        if slash and matches_any(registry, (wanted,)) and matches_any(repository, (rest,)):
            return True
        if not slash and matches_any(image, (pattern,)):
            return True
    return False


def load_policy(path: str | Path) -> TeamPolicy:
    """Read the policy in a TOML file.

    :raises PolicyError: if the file cannot be read, or with everything that is wrong in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(f"The policy {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"The policy {path} is not UTF-8 text: {error}.") from None
    return parse_policy(text, name=str(path))


def parse_policy(text: str, *, name: str = "policy") -> TeamPolicy:
    """Parse the TOML text of a policy.

    :raises PolicyError: with everything that is wrong: unknown keys, values of a wrong kind.
    """
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise PolicyError(f"{name} is not TOML: {error}.") from None
    problems: list[str] = []
    values: dict[str, Any] = {}
    known = {section for section, _ in _KEYS} | {"exceptions"}
    for section, content in document.items():
        if section == "exceptions":
            values["exceptions"] = _exceptions(content, problems)
        elif section not in known:
            problems.append(f"[{section}] is not a section of a policy.{suggest(section, known)}")
        elif not isinstance(content, dict):
            problems.append(f"{section} must be a table: [{section}].")
        else:
            _read_section(section, content, values, problems)
    if "max_wait_seconds" in values and values["max_wait_seconds"] < values.get("max_run_seconds", 0):
        problems.append("spot.max_wait_seconds counts the run too: it cannot be less than run_time.max_seconds.")
    if bool(values.get("subnets")) != bool(values.get("security_groups")):
        problems.append("network.subnets and network.security_groups go together: a VpcConfig has both.")
    if problems:
        raise PolicyError("\n".join([f"{name} is not a policy:", *(f"  {problem}" for problem in problems)]))
    return TeamPolicy(name=name, **values)


def _texts(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise ValueError("a string or an array of strings")
    return tuple(items)


def _subnets(value: Any) -> tuple[str, ...]:
    return _identifiers(value, "subnet-")


def _groups(value: Any) -> tuple[str, ...]:
    return _identifiers(value, "sg-")


def _identifiers(value: Any, prefix: str) -> tuple[str, ...]:
    items = _texts(value)
    if not all(re.fullmatch(rf"{prefix}[-0-9a-zA-Z]+", item) for item in items):
        raise ValueError(f"identifiers such as '{prefix}0123456789abcdef0'")
    return items


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number, at least 1")
    return value


def _seconds(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a whole number of seconds, 0 for none")
    return value


def _accounts(value: Any) -> tuple[str, ...]:
    items = _texts(value)
    if not all(re.fullmatch(r"\d{12}|aws", item) for item in items):
        raise ValueError("account ids of 12 digits, as strings, or 'aws' for AWS's own")
    return items


def _references(value: Any) -> tuple[str, ...]:
    """References as a ``Get`` writes them, with members as this package writes them: ``.x`` for ``['x']``."""
    return tuple(re.sub(r"\[(['\"])([^'\"\]]*)\1\]", r".\2", item) for item in _texts(value))


def _table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError("a table of strings")
    return dict(value)


_KEYS: Mapping[tuple[str, str], tuple[str, Callable[[Any], Any]]] = {
    ("network", "subnets"): ("subnets", _subnets),
    ("network", "security_groups"): ("security_groups", _groups),
    ("network", "isolation"): ("needs_isolation", _truth),
    ("network", "traffic_encryption"): ("needs_traffic_encryption", _truth),
    ("encryption", "volume_keys"): ("volume_keys", _texts),
    ("encryption", "output_keys"): ("output_keys", _texts),
    ("roles", "allowed"): ("roles", _texts),
    ("instances", "allowed"): ("instance_types", _texts),
    ("instances", "max_count"): ("max_instances", _count),
    ("instances", "max_volume_gb"): ("max_volume_gb", _count),
    ("run_time", "max_seconds"): ("max_run_seconds", _count),
    ("spot", "required"): ("needs_spot", _truth),
    ("spot", "max_wait_seconds"): ("max_wait_seconds", _count),
    ("tags", "required"): ("required_tags", _texts),
    ("tags", "defaults"): ("tag_defaults", _table),
    ("images", "allowed"): ("images", _texts),
    ("s3", "buckets"): ("buckets", _texts),
    ("s3", "public"): ("allows_public_s3", _truth),
    ("s3", "public_buckets"): ("public_buckets", _texts),
    ("accounts", "allowed"): ("accounts", _accounts),
    ("steps", "allowed"): ("step_types", _texts),
    ("training", "remote_debug"): ("allows_remote_debug", _truth),
    ("training", "max_keep_alive_seconds"): ("max_keep_alive_seconds", _seconds),
    ("unknown", "allowed"): ("unknown_allowed", _references),
}


def _read_section(section: str, content: Mapping[str, Any], values: dict[str, Any], problems: list[str]) -> None:
    known = [key for owner, key in _KEYS if owner == section]
    for key, value in content.items():
        if (section, key) not in _KEYS:
            problems.append(f"{section}.{key} is not a key of a policy.{suggest(key, known)}")
            continue
        attribute, read = _KEYS[section, key]
        try:
            values[attribute] = read(value)
        except ValueError as error:
            problems.append(f"{section}.{key} must be {error}; found {value!r}.")


def _exceptions(content: Any, problems: list[str]) -> tuple[PolicyException, ...]:
    if not isinstance(content, list):
        problems.append("exceptions must be an array of tables: [[exceptions]].")
        return ()
    names = [item.name for item in fields(PolicyException)]
    read = []
    for number, entry in enumerate(content, start=1):
        if not isinstance(entry, dict) or sorted(entry) != sorted(names) or not all(map(_is_text, entry.values())):
            problems.append(f"exception {number} needs 'rule', 'step' and 'reason', each a text, and nothing else.")
        elif entry["rule"] not in RULE_NAMES:
            problems.append(f"exception {number}: no rule is called {entry['rule']!r}.{_suggest_rule(entry['rule'])}")
        else:
            read.append(PolicyException(**entry))
    return tuple(read)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _suggest_rule(name: str) -> str:
    return suggest(name, RULE_NAMES) or f" The rules are {', '.join(RULE_NAMES)}."
