print('pyspark')
