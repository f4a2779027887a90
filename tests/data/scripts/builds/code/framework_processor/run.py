print("framework_processor")
