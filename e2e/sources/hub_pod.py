"""Runs in a pod: serves the claim's tiny model as a public and as a gated repository."""

import json
import runpy
import shutil
import sys
from pathlib import Path

REPOSITORIES = Path("/tmp/repositories")

for name, access in (("tiny", "public"), ("gated", "gated")):
    folder = REPOSITORIES / "acme" / name
    shutil.copytree("/models/tiny-llama", folder, dirs_exist_ok=True)
    (folder / ".hub.json").write_text(json.dumps({"access": access}))
sys.argv = ["e2e.hub", f"--root={REPOSITORIES}", *sys.argv[1:]]
runpy.run_module("e2e.hub", run_name="__main__")
