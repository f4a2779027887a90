print("estimator")
