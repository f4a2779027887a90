NAME = "repack"
