"""Called by hatchling when pairsim is built or installed: makes the kernels' bitcode that comes with the package.

Rule: a build never fails for it. Where numba is not at hand (an isolated build) or PAIRSIM_NO_SHIPPED_CODE is set, the
package comes without, and its kernels are compiled at first use.
"""

import os
import subprocess
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MAKE = "from pairsim.research.shipped_code import make; make()"


class ShippedCode(BuildHookInterface):
    """Makes ``pairsim/research/shipped`` in a process of its own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before anything is packed."""
        if os.environ.get("PAIRSIM_NO_SHIPPED_CODE"):
            return
        made = subprocess.run([sys.executable, "-c", _MAKE], cwd=self.root, capture_output=True, text=True)
        if made.returncode == 0:
            build_data["artifacts"].append("pairsim/research/shipped/*.bc")
        else:
            self.app.display_warning("without shipped code: " + made.stderr.strip().rpartition("\n")[2])
