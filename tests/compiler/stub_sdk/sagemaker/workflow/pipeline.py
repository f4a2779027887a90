"""The SDK's Pipeline, as far as a compile goes."""

import json


class Pipeline:
    def __init__(self, name, steps=(), sagemaker_session=None):
        self.name = name
        self.steps = list(steps)
        self.sagemaker_session = sagemaker_session

    def definition(self):
        return json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": self.steps})
