print("script_processor")
