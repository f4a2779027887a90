print('tuner')
