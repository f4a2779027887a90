print('repack')
