"""Where the server listens, or why it cannot."""

import pytest

from gateway.errors import OperatorError
from gateway.web.server.listener import listen


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a\0b", 300 * "é"])
def test_what_is_no_address_leads_to_another_address(host: str) -> None:
    with pytest.raises(OperatorError, match="choose an address of this machine with --host"):
        listen(host, 0)
