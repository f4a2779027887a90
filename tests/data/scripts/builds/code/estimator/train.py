print('estimator')
