"""Creates the deployment package of a program, if Lambda can run it. Called by scripts/package.

Usage: python3 tests/package.py PROGRAM ZIP
"""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

# The version in Amazon Linux 2023, on which provided.al2023 is based.
GLIBC = (2, 34)

program, target = map(Path, sys.argv[1:])
wanted = subprocess.run(["readelf", "--version-info", program], check=True, capture_output=True, text=True).stdout
newest = max((tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([\d.]+)", wanted)), default=(0,))
if newest > GLIBC:
    sys.exit(f"the program requires glibc {'.'.join(map(str, newest))}, but Lambda has 2.34")

entry = zipfile.ZipInfo("bootstrap")
entry.external_attr = 0o100755 << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with zipfile.ZipFile(target, "w") as package:
    package.writestr(entry, program.read_bytes(), compresslevel=9)
print(
    f"{program.stat().st_size} bytes, {target.stat().st_size} in the zip; requires glibc {'.'.join(map(str, newest))}"
)
