def handler(event, context):
    return {"scale": event["rows"]}
