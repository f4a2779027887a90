"""IAM as a laptop needs it: every role that a client names exists and may do everything.

Pipelines name roles of an account that is not here. Before it creates a pipeline, SDK v3 asks IAM whether the role
exists, whom it trusts and what it may do. moto's Lambda refuses functions whose role it does not know.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.server.http.messages import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUSTED = ("sagemaker", "lambda", "events", "scheduler", "states", "pipes", "glue", "elasticmapreduce")
_TRUST_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": [f"{service}.amazonaws.com" for service in _TRUSTED]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
_IAM = {"Version": "2010-05-08"}
_MARK = "sm-pipelines:provisioned"
"""The tag of roles that no client created. A client may still create them."""


class IamRoles:
    """Makes roles on demand.

    :param call: carries out a request to IAM, durably.
    """

    def __init__(self, call: Callable[[Request], Response]) -> None:
        self._call = call
        self._lock = threading.Lock()

    def prepare(self, request: Request) -> None:
        """Make the role that a request is about to ask for.

        :param request: any request.
        """
        if request.service == "iam":
            if request.operation == "GetRole":
                self._provide("/", request.form.get("RoleName", ""))
            elif request.operation == "SimulatePrincipalPolicy":
                self.provide_arn(request.form.get("PolicySourceArn", ""))
            elif request.operation == "CreateRole":
                self._yield_name(request.form.get("RoleName", ""))
        elif request.service == "lambda" and request.method in {"POST", "PUT"}:
            self.provide_arn(_role_of_function(request))

    def provide_arn(self, arn: str) -> None:
        """Make a role under its path and name in the local account, unless it exists.

        :param arn: the role's ARN; anything else has no effect.
        """
        role = parse_arn(arn)
        if role is not None and role.kind == "role":
            path, _, name = role.name.rpartition("/")
            self._provide(f"/{path}/" if path else "/", name)

    def _provide(self, path: str, name: str) -> None:
        if not name:
            return
        with self._lock:
            if self._find(name) is not None:
                return
            self._call(
                Request.of_query(
                    "iam",
                    "",
                    {
                        **_IAM,
                        "Action": "CreateRole",
                        "RoleName": name,
                        "Path": path,
                        "AssumeRolePolicyDocument": _TRUST_POLICY,
                        "Tags.member.1.Key": _MARK,
                        "Tags.member.1.Value": "true",
                    },
                )
            )

    def _yield_name(self, name: str) -> None:
        with self._lock:
            found = self._find(name)
            if found is not None and f"<Key>{_MARK}</Key>".encode() in found:
                self._call(Request.of_query("iam", "", {**_IAM, "Action": "DeleteRole", "RoleName": name}))

    def _find(self, name: str) -> bytes | None:
        response = self._call(Request.of_query("iam", "", {**_IAM, "Action": "GetRole", "RoleName": name}))
        return response.body if response.is_success else None


def simulate_principal_policy(request: Request) -> Response:
    """The answer to iam:SimulatePrincipalPolicy: everything is allowed, as it is on the local endpoint.

    moto 5.2 has no such operation; delete this when it has.

    :param request: the request.
    """
    resources = _members(request, "ResourceArns.member.") or ["*"]
    results = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}</EvalResourceName>"
        "<EvalDecision>allowed</EvalDecision><MatchedStatements/><MissingContextValues/></member>"
        for action in _members(request, "ActionNames.member.")
        for resource in resources
    )
    text = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
        f"</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )
    return Response(200, text.encode("utf-8"), (("Content-Type", "text/xml"),))


def _members(request: Request, prefix: str) -> list[str]:
    return [value for name, value in request.form.items() if name.startswith(prefix)]


def _role_of_function(request: Request) -> str:
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        return ""
    role = document.get("Role") if isinstance(document, dict) else None
    return role if isinstance(role, str) else ""
