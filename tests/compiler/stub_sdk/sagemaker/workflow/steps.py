"""The SDK's steps, as far as a compile goes."""


class Step:
    def __init__(self, name, value=None):
        self.name = name
        self.value = value

    def to_request(self):
        if isinstance(self.value, Exception):
            raise self.value
        return {"Name": self.name, "Type": "Lambda", "Arguments": {"Value": self.value}}
