print('script_processor')
