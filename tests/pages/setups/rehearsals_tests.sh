cp "$REPOSITORY/tests/pages/reader/gate.json" pipeline.json
