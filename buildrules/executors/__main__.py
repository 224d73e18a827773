"""What an engine starts in the folder of a task: `python -m buildrules.executors`. See `executors.folder`.

It imports no command line, so that a step costs little more than its run.
"""

import os
import sys


def main() -> int:
    """Run the task in this folder; returns the exit code."""
    sys.path[:] = map(os.path.abspath, sys.path)
    from buildrules.actions.registry import Kinds
    from buildrules.executors.worker import run_folder
    from buildrules.net.session import Session

    session = Session()
    return run_folder(session, session.own(Kinds))


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # taking the interpreter down takes as long as many a step
