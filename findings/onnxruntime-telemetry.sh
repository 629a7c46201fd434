#!/usr/bin/env bash
# onnxruntime 1.32.0 (Linux, PyPI wheel): the import alone writes a device identifier and a database of events into the
# user's cache folder, and the library looks up its maker's event collector some seconds later.
#
# Neither DO_NOT_TRACK=1 nor onnxruntime.disable_telemetry_events() right after the import keeps the files away;
# ORT_DISABLE_TELEMETRY=1 set before the import does. onnxruntime 1.28.0 writes nothing. A program that uses
# onnxruntime as a library has to set the variable itself, before anything imports it.
#
# Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

files_after() { # VERSION VARIABLE=VALUE CODE: files in a new home after CODE
  local home
  home=$(mktemp -d -p "$folder")
  env -u XDG_CACHE_HOME HOME="$home" "$2" "$folder/$1/bin/python" -c "$3"
  (cd "$home" && find . -type f | sort | tr '\n' ' ')
}

expect() { # WHAT FOUND PATTERN
  echo "$1: ${2:-no files}"
  [[ $2 =~ $3 ]] || { echo "the behaviour is another one now" >&2; exit 1; }
}

for version in 1.28.0 1.32.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install -q "onnxruntime==$version"
done
expect "1.28.0" "$(files_after 1.28.0 A=1 'import onnxruntime')" '^$'
expect "1.32.0" "$(files_after 1.32.0 A=1 'import onnxruntime')" 'deviceid'
expect "1.32.0, DO_NOT_TRACK=1" "$(files_after 1.32.0 DO_NOT_TRACK=1 'import onnxruntime')" 'deviceid'
api='import onnxruntime; onnxruntime.disable_telemetry_events()'
expect "1.32.0, disable_telemetry_events()" "$(files_after 1.32.0 A=1 "$api")" 'deviceid'
expect "1.32.0, ORT_DISABLE_TELEMETRY=1" "$(files_after 1.32.0 ORT_DISABLE_TELEMETRY=1 'import onnxruntime')" '^$'
