print('framework_processor')
