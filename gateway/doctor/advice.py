"""What to do when nobody answers at an address that a setting names."""

from gateway.doctor.probe import Address, NoAnswer

TRUST = (
    "Use a certificate of a known authority, or make yours known to this machine: "
    "/usr/local/share/ca-certificates, then update-ca-certificates."
)


def advice_for(trouble: NoAnswer, address: Address, setting: str) -> str:
    """`setting` holds the address."""
    text = str(trouble)
    if trouble.kind == "certificate":
        if "expired" in text or "not valid yet" in text:
            return "Renew the certificate, and see that both clocks are right."
        return f"Write the name that the certificate is for into {setting}." if "for another" in text else TRUST
    return {
        "name": f"Correct the host in {setting}, or this machine's resolver.",
        "refused": f"Start what should answer there, or correct host and port in {setting}.",
        "timeout": f"See that no firewall is between this machine and {address}.",
        "no TLS": f"Write http:// in {setting}, or switch TLS on at {address}.",
        "broken": f"See what it is that listens at {address}.",
    }[trouble.kind]
