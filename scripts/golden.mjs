// Says how test/golden is made anew: it takes Python, torch and transformers, which nothing else here needs.
import { filesUnder } from "./sources.mjs";

const scripts = filesUnder("scripts/golden").filter((file) => /\/make_\w+\.py$/.test(file));
console.log(`The golden files are committed; make them anew only when a case is added:

  python3 -m venv .venv && .venv/bin/pip install -r scripts/golden/requirements.txt
${scripts.map((file) => `  .venv/bin/python ${file}`).join("\n")}

Each folder's cases.json names the versions that made it.

Every layout, type, adapter and size of a checkpoint against transformers and PEFT, in one table (scripts/golden/README.md):

  npm run build && .venv/bin/pip install peft && .venv/bin/python scripts/golden/check_checkpoints.py

Whole training runs against TRL's trainer, in another:

  .venv/bin/python scripts/golden/check_training.py`);
