print("pyspark")
