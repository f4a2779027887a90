"""A stand-in for the SageMaker SDK: the two classes the worker touches, and nothing that takes seconds to import."""
