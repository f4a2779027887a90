NAME = 'repack'
