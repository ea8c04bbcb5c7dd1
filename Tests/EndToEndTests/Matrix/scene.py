"""The authorities, the outcomes, and what a case is."""
from certificates import *  # noqa: F403

OK = "accepted"
NONE, FOREIGN, INVALID = "no-peer-certificate", "unknown-issuer", "invalid-certificate"
PURPOSE, AUTHORITY, RULE = "wrong-purpose", "authority-as-peer", "no-rule"
REVOKED, UNKNOWN = "revoked", "revocation-unknown"

ROOT = authority("root")
INTER = authority("intermediate", ROOT, path_length=0)
FOREIGN_ROOT = authority("foreign root")
# As small tools make them: nothing of what RFC 5280 wants of an authority's extensions.
PLAIN_ROOT = authority("plain root", constraints=extension("2.5.29.19", sequence(boolean(True))), usage=(),
                       key_identifiers=False)
# Trusted by listeners of their own names; by all others `ROOT`.
TRUSTED = {"plain": PLAIN_ROOT}
SERVER = leaf(ROOT, subject=common_name("localhost"), names=(dns("localhost"), ip(127, 0, 0, 1)),
              purposes=("server",), number="server")
STRANGER = common_name("stranger")


class Case:
    """`expected`: by which reason it is refused, or `OK`. `stacks`: what a client's own library will not send
    (`None`: the library cannot be made to use it at all), or sends otherwise."""

    def __init__(self, title, expected, chain, listener="gate", **stacks):
        self.title, self.expected, self.chain, self.listener, self.stacks = title, expected, chain, listener, stacks

    def expectation(self, stack):
        return self.stacks.get(stack, self.expected)


# A key usage without signatures: GnuTLS says so itself, in TLS 1.2.
UNABLE_TO_SIGN = (PURPOSE, "tls-alert")


def unable(title, certificate):
    """GnuTLS does not load it."""
    return case(title, INVALID, certificate, gnutls=None)


def case(title, expected, certificate, *above, **more):
    return Case(title, expected, [certificate, *above] if certificate else [], **more)
