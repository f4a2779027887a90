"""Who the local endpoint is: its account, its credentials, its region.

Constants and the region rule only. Nothing here is secret: the endpoint checks no signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The one account of the local endpoint (moto's own default, so that both agree without configuration).
ACCOUNT_ID = "123456789012"
#: Credentials for clients of the endpoint: well-formed, and recognisably worthless anywhere else.
ACCESS_KEY_ID = "local"
SECRET_ACCESS_KEY = "local"  # noqa: S105 - not a secret: the endpoint checks no signature
DEFAULT_REGION = "us-east-1"


def resolve_region(env: Mapping[str, str]) -> str:
    """The region an environment asks for: ``AWS_REGION``, else ``AWS_DEFAULT_REGION``, else us-east-1.

    :param env: an environment, such as ``os.environ``.
    :return: a region name.
    """
    return env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
