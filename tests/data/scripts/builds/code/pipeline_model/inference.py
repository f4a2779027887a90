NAME = 'pipeline_model'
