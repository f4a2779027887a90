"""A task that several examples share: it makes a Lambda function what its files say. (No DAG is in this file.)"""

from airflow.sdk import task


@task
def put_function(name: str, *, files: dict[str, str], handler: str, role_name: str) -> dict[str, str]:
    """Make the function, or update it if its code has changed; give its ARN and what was done.

    :param files: paths of the code, by their names in the function.
    :param handler: ``module.function``.
    :param role_name: a role that Lambda may assume; asked for when the function is made.
    """
    import base64
    import hashlib
    import io
    import zipfile
    from pathlib import Path

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.providers.amazon.aws.hooks.lambda_function import LambdaHook

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file, path in files.items():
            # ZipInfo has a fixed date, so unchanged code gives unchanged bytes.
            archive.writestr(zipfile.ZipInfo(file), Path(path).read_bytes())
    code = packed.getvalue()
    client = LambdaHook().conn
    try:
        there = client.get_function(FunctionName=name)["Configuration"]
    except client.exceptions.ResourceNotFoundException:
        role = AwsBaseHook(client_type="iam").conn.get_role(RoleName=role_name)["Role"]
        made = client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler=handler,
            Role=role["Arn"],
            Code={"ZipFile": code},
            Timeout=60,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        return {"arn": made["FunctionArn"], "action": "created"}
    if there["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode():
        return {"arn": there["FunctionArn"], "action": "unchanged"}
    client.update_function_code(FunctionName=name, ZipFile=code)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    return {"arn": there["FunctionArn"], "action": "updated"}
