"""The SDK's session module, as far as a compile goes."""


def get_execution_role(sagemaker_session=None, use_default=False):
    raise ValueError("The current AWS identity is not a role")
