print('local_inputs')
