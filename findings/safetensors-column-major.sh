#!/usr/bin/env bash
# safetensors 0.8.0: safetensors.numpy.save_file writes a column-major array in the order of its memory.
#
# Seen with safetensors 0.8.0 and numpy 2.3.5: a Fortran-ordered 2 x 3 array comes back with the same shape and type and
# other values, without an error or a warning. safetensors 0.7.0 writes it row by row. scikit-learn's `coef_` is such an
# array. Way round: numpy.ascontiguousarray before every save.
#
# Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/try.py" <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

path, version, changed = sys.argv[1:]
array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
save_file({"a": array}, path)
back = load_file(path)["a"]
assert safetensors.__version__ == version, safetensors.__version__
assert back.shape == array.shape and back.dtype == array.dtype
print(f"safetensors {version}: wrote {array.tolist()}, read {back.tolist()}")
assert (not np.array_equal(back, array)) == (changed == "changed"), "the behaviour is another one now"
PY
for case in "0.7.0 kept" "0.8.0 changed"; do
  read -r version expected <<< "$case"
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install -q "safetensors==$version" numpy==2.3.5
  "$folder/$version/bin/python" "$folder/try.py" "$folder/a.safetensors" "$version" "$expected"
done
