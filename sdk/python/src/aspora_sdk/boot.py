"""Start a job's process: `python -I -S <sdk_root>/aspora_sdk/boot.py`, in the job's copy of the artifact.

Kept tiny because Python compiles a script anew at each start; the work is in `aspora_sdk.job`, loaded from bytecode.
"""

import os
import sys

if __name__ == "__main__":
    sdk_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, sdk_root)

    from aspora_sdk import job

    # The SDK is loaded. What else lies in its folder (all of site-packages, if installed there) is not the handler's.
    sys.path.remove(sdk_root)
    job.main()
