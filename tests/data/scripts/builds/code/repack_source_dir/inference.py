NAME = "repack_source_dir"
