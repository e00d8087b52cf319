"""Where the binary begins."""

import sys

from parent import end_with_parent, hold_back_hang_ups

hold_back_hang_ups(sys.argv[1:])
end_with_parent()

from gateway.cli import main  # noqa: E402 - takes a while, in which a SIGHUP must do no harm

main()
