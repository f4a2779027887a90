"""Answers with what it was given."""


def model_fn(model_dir):
    """No model is needed."""
    return model_dir
