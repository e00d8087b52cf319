"""Tell an address of the public internet from all others.

A list of our own: what `ipaddress` calls global differs between versions of Python, and multicast counts as global
there. Source: IANA's registries of special-purpose addresses (RFC 6890).
"""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            # Link-local, with the metadata of most clouds.
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            # Multicast, reserved, broadcast.
            "224.0.0.0/3",
            # Azure's own services for a machine: a public number that leads to the host.
            "168.63.129.16/32",
        ),
    )
)
PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
"""All that has been given out. Private, link-local, loopback and multicast lie outside."""
NOT_PUBLIC_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            # Of protocols, Teredo among them, which leads to an IPv4 address.
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
        ),
    )
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
MASK_4 = 0xFFFFFFFF


def is_public(address: Address) -> bool:
    """Return whether the address is of the public internet; one that leads to an IPv4 address, whether that is."""
    final = final_address(address)
    if isinstance(final, ipaddress.IPv4Address):
        return not any(final in network for network in NOT_PUBLIC_4)
    return final in PUBLIC_6 and not any(final in network for network in NOT_PUBLIC_6)


def final_address(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to: mapped, 6to4 (RFC 3056), NAT64 (RFC 6052); else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & MASK_4)
    return address.ipv4_mapped or address.sixtofour or address
