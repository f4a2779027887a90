print('tuner_several')
