"""What stands in for a model of SageMaker's public hub: the document that SDK v3's trainers and evaluators read.

The document holds no weights. It has a recipe for each technique and kind of evaluation, so every model name is taken.
"""

from __future__ import annotations

import json
from typing import Any

from airflow_sm_pipelines.engine.rules.customization_records import TECHNIQUES

PUBLIC_HUB = "SageMakerPublicHub"
"""The hub that the SDK asks for base models."""
MARK = "A stand-in of the local endpoint: it has no weights, and its recipes are made up."
"""Stands in every document and file that is made up, so that nobody takes one for a model."""

_MULTI_TURN = "MTRL"
"""What SDK v3 calls multi-turn reinforcement learning, whose job is none of CreateTrainingJob."""

_EVALUATIONS = {
    "DeterministicEvaluation": "General text benchmark (stand-in)",
    "CustomScorerEvaluation": "Custom scorer (stand-in)",
    "LLMAJEvaluation": "LLM as judge (stand-in)",
}
_IMAGE = "stand-in.local/model-hub:1"
_HOSTING = {
    "Profile": "Default",
    "InstanceType": "ml.g5.2xlarge",
    "DefaultInstanceType": "ml.g5.2xlarge",
    "SupportedInstanceTypes": ["ml.g5.2xlarge"],
    "EcrAddress": _IMAGE,
    "Environment": {},
    "ComputeResourceRequirements": {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024},
}
_TRAINING: dict[str, Any] = {
    "learning_rate": 0.0001,
    "max_epochs": 1,
    "max_steps": 10,
    "global_batch_size": 16,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "save_steps": 10,
}
_RL: dict[str, Any] = {
    "kl_loss_coef": 0.001,
    "clip_ratio": 0.2,
    "temperature": 1.0,
    "use_kl_loss": True,
    "preset_reward_function": "prime_math",
    "reward_lambda_arn": "",
    "judge_model_id": "",
    "judge_prompt_template": "",
}
_INFERENCE: dict[str, Any] = {
    "max_new_tokens": 1024,
    "temperature": 0,
    "top_k": -1,
    "top_p": 1.0,
    "aggregation": "mean",
    "max_model_len": 8192,
}


def make_model_document(bucket: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The document of a model, and the S3 objects that it names.

    :param bucket: where the objects are to be.
    :return: the document, and contents by key.
    """
    files: dict[str, bytes] = {}
    training = _add_files(files, bucket, "training", "training_config", _TRAINING)
    reinforcement = _add_files(files, bucket, "reinforcement", "training_config", _TRAINING | _RL)
    inference = _add_files(files, bucket, "inference", "inference", _INFERENCE)
    recipes: list[dict[str, Any]] = []
    for technique in (*TECHNIQUES, _MULTI_TURN):
        for peft in ("LORA", None):
            name = f"stand-in-{technique}-{peft or 'full'}".lower()
            recipe = {"Name": name, "DisplayName": name, "Type": "FineTuning", "CustomizationTechnique": technique}
            recipe["SequenceLength"] = "4K"
            where = reinforcement if technique in ("RLVR", "RLAIF", _MULTI_TURN) else training
            recipes.append({**recipe, **({"Peft": peft} if peft else {}), **where})
    for kind, title in _EVALUATIONS.items():
        recipe = {"Name": f"stand-in-{kind}".lower(), "DisplayName": title, "Type": "Evaluation"}
        recipes.append({**recipe, "EvaluationType": kind, **inference})
    return {"StandIn": MARK, "GatedBucket": False, "RecipeCollection": recipes, **_add_hosting(files, bucket)}, files


def _add_hosting(files: dict[str, bytes], bucket: str) -> dict[str, Any]:
    """The members with which SDK v3's ModelBuilder makes a model. What serves it is not here."""
    files["hosting/stand-in.json"] = json.dumps({"stand_in": MARK}).encode()
    return {"HostingArtifactUri": f"s3://{bucket}/hosting/", "HostingConfigs": [_HOSTING]}


def _add_files(
    files: dict[str, bytes], bucket: str, name: str, section: str, options: dict[str, Any]
) -> dict[str, str]:
    """Add the files of a recipe, and give the members that name them."""
    files[f"{name}.json"] = json.dumps({key: _describe_option(value) for key, value in options.items()}).encode()
    # JSON is YAML, too.
    files[f"{name}.yaml"] = json.dumps({"run": {"name": name}, section: {**options, "training_args": options}}).encode()
    return {
        "SmtjOverrideParamsS3Uri": f"s3://{bucket}/{name}.json",
        "SmtjRecipeTemplateS3Uri": f"s3://{bucket}/{name}.yaml",
        "SmtjImageUri": _IMAGE,
    }


def _describe_option(value: Any) -> dict[str, Any]:
    kinds = {bool: "boolean", float: "float", int: "integer", str: "string"}
    # An empty text stands for an option without a value.
    return {"type": kinds[type(value)], "default": value if value != "" else None, "required": False}
