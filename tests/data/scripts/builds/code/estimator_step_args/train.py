print("estimator_step_args")
