"""Records what vLLM wants to know of each model class, in the folder VLLM_CACHE_ROOT.

Without the record, each start of an engine imports all of vLLM in one more process just to ask
whether the class generates text, pools or sees images. Here all classes share one import.
"""

import logging
import sys

from vllm.model_executor.models import registry


def main() -> None:
    """Asks every model class once; vLLM itself writes the answers."""
    registry._run_in_subprocess = lambda ask: ask()  # noqa: SLF001  no CUDA to protect here
    logging.disable(logging.CRITICAL)  # what classes lack is their authors' business
    missing = []
    for name, model in registry.ModelRegistry.models.items():
        try:
            model.inspect_model_cls()
        except ImportError:
            missing.append(name)
    count = len(registry.ModelRegistry.models) - len(missing)
    sys.stderr.write(f"{count} model classes recorded; not importable: {', '.join(missing)}\n")


if __name__ == "__main__":
    main()
