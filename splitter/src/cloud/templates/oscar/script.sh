#!/bin/sh
# OSCAR's supervisor sets INPUT_FILE_PATH, TMP_OUTPUT_DIR and STORAGE_OBJECT_KEY; `kerf-stage once` finds them there and
# runs the last part. The supervisor ignores the exit code: a failure is told by a file, KEY.err.json.
exec kerf-stage once --bundle "${KERF_BUNDLE:-/bundle}"
