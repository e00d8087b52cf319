"""What to do when nobody answers at an address that a setting names."""

from gateway.airbyte.no_answer import NoAnswer
from gateway.airbyte.route import Route
from gateway.doctor.probe import Address

BASE_URL_SETTING = "airbyte.base_url"
PROXY = "Correct airbyte.proxy, or what the proxy lets through."
TRUST = "Use a certificate of a known authority, or make yours known "
TO_THE_GATEWAY = "to the gateway: write the path of its certificate (PEM) into airbyte.ca_file."
TO_THIS_MACHINE = "to this machine: /usr/local/share/ca-certificates, then update-ca-certificates."


def advice_on_airbyte(error: NoAnswer, address: Address, route: Route) -> str:
    """Return what to do when Airbyte, by its settings at `address`, did not answer on the way there."""
    if route.proxy and error.kind in {"name", "refused", "broken"}:
        return PROXY
    return advice_for(error, address, BASE_URL_SETTING)


def advice_for(error: NoAnswer, address: Address, setting: str) -> str:
    """Return what to do when nobody answered at `address`, which stands in `setting`."""
    text = str(error)
    if error.kind == "certificate":
        if "expired" in text or "not valid yet" in text:
            return "Renew the certificate, and check that both clocks are right."
        if "for another" in text:
            return f"Write the name that the certificate is for into {setting}."
        return TRUST + (TO_THE_GATEWAY if setting.startswith("airbyte.") else TO_THIS_MACHINE)
    return {
        "name": f"Correct the host in {setting}, or this machine's resolver.",
        "refused": f"Start what should answer there, or correct host and port in {setting}.",
        "timeout": f"Check that no firewall is between this machine and {address}.",
        "no TLS": f"Write http:// in {setting}, or switch TLS on at {address}.",
        "broken": f"Find out what listens at {address}.",
        "proxy": PROXY,
    }[error.kind]
