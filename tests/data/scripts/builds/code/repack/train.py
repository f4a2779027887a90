print("repack")
