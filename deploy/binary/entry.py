"""Where the binary begins."""

from gateway.cli import main
from gateway.frozen import end_with_parent

end_with_parent()
main()
