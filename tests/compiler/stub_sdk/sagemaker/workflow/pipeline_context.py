"""The SDK's PipelineSession, as far as a compile goes."""


class PipelineSession:
    def __init__(self, boto_session=None, default_bucket=None):
        self.boto_session = boto_session
        self._default_bucket = default_bucket

    def default_bucket(self):
        return self._default_bucket or f"sagemaker-{self.boto_session.region_name}-123456789012"
