"""The function of a Lambda step."""


def lambda_handler(event, context):
    """Names two files after the one that it is given."""
    return {"train_file": f"{event['data_file']}.train", "test_file": f"{event['data_file']}.test"}
