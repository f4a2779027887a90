NAME = "pipeline_model"
