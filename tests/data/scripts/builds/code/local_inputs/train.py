print("local_inputs")
