"""What a policy says of 105 public definitions, which are not part of this project, as a table.

``python -m tests.policy.public_definitions FOLDER`` holds the policy to it, where FOLDER has the definitions. The table
was made by reading the raw JSON by the names of its members, without the package's model of a definition, and some rows
were read by hand. ``gen_`` definitions were made by public notebooks and scripts, ``nb_out_`` stand in the outputs of
notebooks; the names tell the repository. Our own definitions have such a table in ``test_team_rules_examples``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.policy import check_definition, make_team_rule, parse_policy

POLICY = """
[instances]
allowed = ["ml.m5.*", "ml.c5.*"]
max_count = 1
[network]
isolation = true
[run_time]
max_seconds = 86400
[steps]
allowed = ["Processing", "Training", "Tuning", "Transform", "Model", "RegisterModel", "Condition", "Fail"]
"""
RULES = {
    "team-instance-count": "c",
    "team-instance-types": "t",
    "team-isolation": "i",
    "team-run-time": "r",
    "team-step-types": "s",
}
"""The letters of the table. ``-`` keeps the policy; ``refused`` is no definition: a condition is of an unknown type."""
TABLE = """
ack_describe_success cir
ack_e2e_model i
ack_e2e_processing cir
ack_sample_training it
ack_sample_yaml it
airflow_example_nested_conditions -
gen_computer_vision_pipeline it
gen_end_to_end_pipeline_0 cir
gen_geospatial_pipeline_processing cir
gen_m01_AniolMG_end_to_end_ml_pipeline_aws irt
gen_m02_aws_amazon_sagemaker_examples cirt
gen_m03_aws_amazon_sagemaker_examples cirt
gen_m07_aws_samples_amazon_sagemaker_drift_detection cirt
gen_m08_aws_samples_amazon_sagemaker_drift_detection cirst
gen_m16_aws_samples_aws_mlops_pipelines_terraform cirt
gen_m17_aws_samples_aws_sagemaker_pipelines_skin_classification cirt
gen_m20_aws_samples_mammography_severity_sagemaker_pipelines_sample cirst
gen_m22_aws_samples_mlops_sagemaker_github_actions cir
gen_m23_aws_samples_sagemaker_custom_project_templates -
gen_m24_aws_samples_sagemaker_custom_project_templates cirt
gen_m25_aws_samples_sagemaker_custom_project_templates cirt
gen_m28_aws_samples_sagemaker_custom_project_templates cirt
gen_m30_aws_samples_sagemaker_custom_project_templates cirt
gen_m31_aws_samples_sagemaker_custom_project_templates -
gen_m32_aws_samples_sagemaker_custom_project_templates cirt
gen_m35_aws_samples_sagemaker_mlops_with_terraform cirt
gen_m36_aws_samples_sample_sagemaker_pipeline_with_hpo_step cirt
gen_m38_awslabs_aiops_modules cirt
gen_m40_awslabs_aiops_modules cirt
gen_m42_data_science_on_aws_data_science_on_aws cit
gen_m43_emanuelGitCodes_aws_mlops_platform_public ir
gen_m46_sofianhamiti_amazon_sagemaker_pipelines_mlflow ir
gen_model_monitor_batch_transform_data_quality_with_pipelines_on_demand irs
gen_model_monitor_batch_transform_model_quality_with_pipelines_on_demand irs
gen_n01_amazon_sagemaker_ab_testing_pipeline cirt
gen_n08_amazon_sagemaker_generativeai cirt
gen_n09_amazon_sagemaker_generativeai cirt
gen_n12_amazon_sagemaker_mlops_batch irs
gen_n13_amazon_sagemaker_mlops_batch irs
gen_n21_mlops_amazon_sagemaker cir
gen_n26_sagemaker_pipelines_callback_step_for_ba is
gen_n27_sagemaker_pipelines_callback_step_for_ba is
gen_nb_job_pipeline ir
gen_nlp_company_earnings_analysis_pipeline cirt
gen_notebook cirt
gen_parameterize_spark_config_pysparkprocessor_pipeline ci
gen_pipeline_e2e irt
gen_pipeline_with_amazon_forecast cirt
gen_pipeline_with_comprehend cirs
gen_pipelines_batch_inference_step_decorator it
gen_pipelines_callback_step cis
gen_pipelines_clarify_model_monitor_integration cirst
gen_pipelines_emr_step_using_step_decorator cist
gen_pipelines_emr_step_with_cluster_lifecycle_management cirst
gen_pipelines_emr_step_with_running_emr_cluster irs
gen_pipelines_hyperparameter_tuning cirt
gen_pipelines_lambda_step cirst
gen_pipelines_launching_autopilot_with_auto_ml_step cirst
gen_pipelines_local_mode_0 irt
gen_pipelines_local_mode_1 ir
gen_pipelines_preprocess_train_evaluate_batch_transform cirt
gen_pipelines_product_ratings cirt
gen_pipelines_sagemaker_geospatial s
gen_pipelines_selective_execution cirt
gen_pipelines_step_caching_0 cirt
gen_pipelines_step_caching_1 cir
gen_pipelines_step_caching_2 cir
gen_pipelines_step_decorator i
gen_pipelines_step_decorator_with_classic_training_step i
gen_pipelines_step_decorator_with_condition_step i
gen_pipelines_train_model_registry_deploy cirt
gen_retail_recommend_pipeline irt
gen_sagemaker_pipelines_project cirt
gen_tensorflow2_california_housing_sagemaker_pipelines_deploy_endpoint irs
gen_using_step_decorator_with_selective_execution i
gen_v3_emr_serverless_step_example s
gen_v3_hyperparameter_tuning_pipeline i
gen_v3_integ_train_registry cirt
jl_abalone_exported cirt
jl_abalone_inference_tftpl is
jl_abalone_tftpl cirt
jl_housing_tftpl cirt
jl_serial_inference_exported cirt
jl_simple_tftpl -
mdaa_comprehensive refused
mdaa_minimal ir
nb_out_abalone_build_train_deploy cirt
nb_out_customer_churn cirt
nb_out_gonsoo_deploy irt
nb_out_gonsoo_fraud cirt
nb_out_gonsoo_preprocess cirt
nb_out_lambda_step cirst
nb_out_rain_au cirt
nb_out_sched_processing cirt
nb_out_selective_execution cirt
nb_out_textclass_batch cirt
nb_out_textclass_deploy cirst
nb_out_yolov8 irt
tfstate_timesheet_dq irt
v3tpl_custom_scorer_template is
v3tpl_deterministic_template is
v3tpl_llmaj_inspectai_template it
v3tpl_llmaj_template is
v3tpl_mtrl_template s
v3tpl_mtrl_template_fine_tuned_only s
"""


def judge(path: Path) -> str:
    """The letters of the rules that a definition breaks."""
    try:
        definition = parse_definition(path.read_text(encoding="utf-8"))
    except DefinitionError:
        return "refused"
    rule = make_team_rule(parse_policy(POLICY))
    found = {RULES[one.rule] for one in check_definition(definition, rules=(rule,)) if one.rule.startswith("team-")}
    return "".join(sorted(found)) or "-"


def main() -> int:
    """Compare each definition of the folder with its row; 1 if one differs or has none."""
    rows = dict(line.split() for line in TABLE.strip().splitlines())
    found = {path.stem: judge(path) for path in sorted(Path(sys.argv[1]).glob("*.json"))}
    faults = [
        f"{name}: {found.get(name)}, not {rows.get(name)}"
        for name in rows.keys() | found.keys()
        if found.get(name) != rows.get(name)
    ]
    print("\n".join([*sorted(faults), f"{len(found)} definitions: {len(faults)} otherwise than the table says."]))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
