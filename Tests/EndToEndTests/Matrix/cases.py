"""The table: who knocks, with what, and what must come of it."""
from certificates import *  # noqa: F403
from scene import *  # noqa: F403


def plain():
    yield case("no certificate", NONE, None)
    yield case("issued by the root", OK, leaf(ROOT))
    yield case("issued by the intermediate", OK, leaf(INTER), INTER)
    yield case("expired", "expired", leaf(ROOT, start=-7200, end=-1))
    yield case("expired a year ago", "expired", leaf(INTER, start=-800 * 86400, end=-365 * 86400), INTER)
    yield case("not yet valid", "not-yet-valid", leaf(ROOT, start=3600))
    old = authority("old intermediate", ROOT, start=-7200, end=-1)
    yield case("an expired intermediate", "expired", leaf(old), old)
    early = authority("early intermediate", ROOT, start=3600)
    yield case("an intermediate not yet valid", "not-yet-valid", leaf(early), early)
    yield case("foreign authority", FOREIGN, leaf(FOREIGN_ROOT))
    yield case("foreign authority, sent along", FOREIGN, leaf(FOREIGN_ROOT), FOREIGN_ROOT)
    double = authority("root", number="another root")
    yield case("another authority of the same name", FOREIGN, leaf(double), double)
    yield case("the root's name, another's signature", FOREIGN, leaf(ROOT, signer=FOREIGN_ROOT.key))
    yield case("the intermediate's name, another's signature", FOREIGN,
               leaf(INTER, signer=FOREIGN_ROOT.key), INTER)
    yield case("self-signed", FOREIGN, leaf(None))
    yield case("self-signed, beside the real root", FOREIGN, leaf(None), ROOT)
    broken = leaf(ROOT)
    broken.der = broken.der[:-4] + bytes(4)
    yield case("a signature that was changed", FOREIGN, broken)


def purposes():
    for each in ("server", "code", "email", "time", "any", "smartcard"):
        yield case(f"extended key usage {each} only", PURPOSE, leaf(ROOT, purposes=(each,)))
    yield case("no extended key usage", PURPOSE, leaf(ROOT, purposes=()))
    yield case("extended key usages server and client", OK, leaf(ROOT, purposes=("server", "client")))
    yield case("extended key usages any and client", OK, leaf(ROOT, purposes=("any", "client")))
    yield case("extended key usages any and server", PURPOSE, leaf(ROOT, purposes=("any", "server")))
    critical = extended_key_usage("client", critical=True)
    yield case("a critical extended key usage", OK, leaf(ROOT, purposes=(), extra=[critical]))
    for usage in ("keyEncipherment", "dataEncipherment", "nonRepudiation", "keyAgreement", "cRLSign"):
        yield case(f"key usage {usage} only", PURPOSE, leaf(ROOT, usage=(usage,)), gnutls=UNABLE_TO_SIGN)
    yield case("no key usage", OK, leaf(ROOT, usage=()))
    yield case("key usages digitalSignature and keyEncipherment", OK,
               leaf(ROOT, usage=("digitalSignature", "keyEncipherment")))
    yield case("a leaf that may sign certificates", INVALID, leaf(ROOT, usage=("digitalSignature", "keyCertSign")))
    yield case("no basic constraints", OK, leaf(ROOT, constraints=None))
    server_only = authority("server intermediate", ROOT, extra=[extended_key_usage("server")])
    yield case("an intermediate for servers only", PURPOSE, leaf(server_only), server_only)
    client_only = authority("client intermediate", ROOT, extra=[extended_key_usage("client")])
    yield case("an intermediate for clients only", OK, leaf(client_only), client_only)


def authorities():
    as_leaf = leaf(ROOT, constraints=basic_constraints(True), usage=("digitalSignature", "keyCertSign"))
    yield case("an authority as a leaf", AUTHORITY, as_leaf)
    yield case("an authority for clients, no key usage", INVALID,
               leaf(ROOT, constraints=basic_constraints(True), usage=()))
    yield case("the intermediate itself", AUTHORITY, INTER, gnutls=(AUTHORITY, "tls-alert"))
    yield case("the trusted root itself", AUTHORITY, ROOT, gnutls=(AUTHORITY, "tls-alert"))
    yield case("a path length on a leaf", INVALID, leaf(ROOT, constraints=extension(
        "2.5.29.19", sequence(integer(0)), True)))
    mild = authority("no authority", ROOT, constraints=basic_constraints(False))
    yield case("an intermediate that is none", INVALID, leaf(mild), mild)
    bare = authority("bare", ROOT, constraints=b"")
    yield case("an intermediate without basic constraints", INVALID, leaf(bare), bare)
    unable = authority("unable", ROOT, usage=("cRLSign",))
    yield case("an intermediate that may not sign certificates", INVALID, leaf(unable), unable)
    loose = authority("loose", ROOT, usage=())
    yield case("an intermediate without key usage", INVALID, leaf(loose), loose)
    mild = authority("mild", ROOT, constraints=extension("2.5.29.19", sequence(boolean(True))))
    yield case("an intermediate whose basic constraints are not critical", INVALID, leaf(mild), mild)
    nameless = authority("nameless", ROOT, key_identifiers=False)
    yield case("an intermediate without key identifiers", INVALID, leaf(nameless), nameless)
    client = leaf(ROOT, number="a client's")
    yield case("issued by another client", INVALID, leaf(client), client)
    below = authority("below", INTER)
    yield case("a path length exceeded", INVALID, leaf(below), below, INTER)
    negative = authority("negative", ROOT, path_length=-1)
    yield case("a negative path length", FOREIGN, leaf(negative), negative)
    a = authority("a", ROOT)
    b = authority("b", a)
    c = authority("c", b)
    d = authority("d", c)
    yield case("two intermediates", OK, leaf(b), b, a)
    yield case("three intermediates", OK, leaf(c), c, b, a)
    yield case("four intermediates", INVALID, leaf(d), d, c, b, a)
    yield case("two intermediates in the wrong order", OK, leaf(b), a, b)
    yield case("the root sent along", OK, leaf(b), b, a, ROOT)
    yield case("a strange certificate sent along", OK, leaf(b), b, a, FOREIGN_ROOT)
    yield case("the leaf sent twice", OK, (one := leaf(b)), one, b, a)
    yield case("the intermediate missing", FOREIGN, leaf(INTER))
    yield case("the middle intermediate missing", FOREIGN, leaf(c), c, a)
    yield case("more bytes than a chain may have", "tls-failure", leaf(INTER), INTER, *[FOREIGN_ROOT] * 200,
               gnutls=None)
    crossed = issue(FOREIGN_ROOT, INTER.key, INTER.subject, [basic_constraints(True), key_usage("keyCertSign")])
    yield case("cross-signed by a foreign authority", FOREIGN, leaf(INTER), crossed)
    # OpenSSL takes the first that fits, and does not look for another when its end is not trusted.
    yield case("cross-signed, both sent, the foreign one first", FOREIGN, leaf(INTER), crossed, INTER)
    yield case("cross-signed, both sent, the good one first", OK, leaf(INTER), INTER, crossed)
    renamed = issue(ROOT, INTER.key, common_name("renamed"), [basic_constraints(True), key_usage("keyCertSign")])
    yield case("the intermediate's key under another name", FOREIGN, leaf(INTER), renamed)


def plain_roots():
    """What is trusted is its name and key, not the form of its extensions."""
    def case_of(*all, **more):
        return case(*all, listener="plain", **more)
    good = authority("below plain", PLAIN_ROOT)
    loose = authority("loose below plain", PLAIN_ROOT, usage=())
    yield case_of("issued by a root without key usage", OK, leaf(PLAIN_ROOT))
    yield case_of("below a root without key usage", OK, leaf(good), good)
    yield case_of("a root without key usage sent along", OK, leaf(PLAIN_ROOT), PLAIN_ROOT)
    yield case_of("an intermediate without key usage below such a root", INVALID, leaf(loose), loose)
    yield case_of("expired, of a root without key usage", "expired", leaf(PLAIN_ROOT, start=-7200, end=-1))
    yield case_of("for servers, of a root without key usage", PURPOSE, leaf(PLAIN_ROOT, purposes=("server",)))
    yield case_of("of a root that is trusted elsewhere", FOREIGN, leaf(ROOT))
    yield case("of a root without key usage that is trusted elsewhere", FOREIGN, leaf(PLAIN_ROOT))


def constraints():
    kinds = {
        "DNS": (dns("cluster-a.example"), dns("db.cluster-a.example"), dns("db.cluster-b.example")),
        "URI": (uri("cluster-a.example"), uri("spiffe://cluster-a.example/x"), uri("spiffe://cluster-b.example/x")),
        "address": (ip(192, 0, 2, 0, 255, 255, 255, 0), ip(192, 0, 2, 7), ip(198, 51, 100, 7)),
        "email": (email("cluster-a.example"), email("a@cluster-a.example"), email("a@cluster-b.example")),
        "directory name": tuple(directory_name(name(("O", each), *more)) for each, more in
                                (("A", ()), ("A", (("CN", "x"),)), ("B", (("CN", "x"),)))),
    }
    for kind, (base, inside, outside) in kinds.items():
        permitted = authority(f"permits {kind}", ROOT, extra=[name_constraints(permitted=[base])])
        excluded = authority(f"excludes {kind}", ROOT, extra=[name_constraints(excluded=[base])])
        subject = name(("O", "A"), ("CN", "good")) if kind == "directory name" else None
        other = name(("O", "C"), ("CN", "good"))
        for above, good, bad, who in ((permitted, inside, outside, subject), (excluded, outside, inside, other)):
            title = above.subject[-len(kind) - 9:].decode(errors="replace").strip("\x00\x0c\x10\x11\x12\x13\x14")
            yield case(f"name constraint {title}: kept", OK, leaf(above, names=(good,), subject=who), above)
            yield case(f"name constraint {title}: broken", INVALID, leaf(above, names=(bad,), subject=who), above)
            yield case(f"name constraint {title}: one kept, one broken", INVALID,
                       leaf(above, names=(good, bad), subject=who), above)


def names():
    def hostile(title, expected, *names, **more):
        return case(title, expected, leaf(ROOT, subject=STRANGER, names=names, **more))
    app = "spiffe://cluster-a/app/"
    yield hostile("a URI that a rule names", OK, uri(app + "shop"))
    yield hostile("a second URI that a rule names", OK, uri("spiffe://x/y"), uri(app + "shop"))
    for near in ("SPIFFE://cluster-a/app/shop", "spiffe://Cluster-A/app/shop", "spiffe://cluster-a/App/shop",
                 app + "shop/", app, app[:-1], app + "shop/more", app + "..", app + ".", app + "../admin",
                 "spiffe://cluster-a//app/shop", "spiffe://cluster-a/%61pp/shop", "spiffe://cluster-a%2fapp/shop",
                 "spiffe://user@cluster-a/app/shop", "spiffe://cluster-a:80/app/shop", "spiffe://cluster-a./app/shop",
                 "spiffe://cluster-a.evil/app/shop", "spiffe://evil/cluster-a/app/shop", "https://cluster-a/app/shop",
                 "spiffe:/cluster-a/app/shop", "spiffe:cluster-a/app/shop", app + "shop?x=1", app + "shop#x",
                 "x" + app + "shop", "spiffe://cluster-a/app\\shop", "spiffe://cluster-a/*/shop",
                 app.replace("cluster-a", "*") + "shop"):
        yield hostile(f"a URI near a rule's: {near}", RULE, uri(near))
    yield hostile("the rule's URI as a DNS name", RULE, dns(app + "shop"))
    yield hostile("the rule's URI as an email", RULE, email(app + "shop"))
    yield hostile("the rule's URI as another name", RULE, other_name(app + "shop"))
    for title, bad in (("NUL", app + "shop\0.evil"), ("a newline", app + "shop\n"), ("a space", app + "sh op"),
                       ("a byte beyond ASCII", app + "sh\xf6p")):
        yield hostile(f"a URI with {title}", INVALID, uri(bad))
    yield unable("an empty URI", leaf(ROOT, names=(uri(""),)))
    yield hostile("a DNS name that a rule names", OK, dns("app.cluster-a.example"))
    for near in ("APP.cluster-a.example.", "app.cluster-a.example.evil", "xapp.cluster-a.example",
                 "*.cluster-a.example", "cluster-a.example", "app.cluster-a.example."):
        yield hostile(f"a DNS name near a rule's: {near}", RULE, dns(near))
    yield hostile("a DNS name with NUL", INVALID, dns("app.cluster-a.example\0.evil"))
    yield hostile("the rule's DNS name as a URI", RULE, uri("app.cluster-a.example"))
    yield hostile("the rule's DNS name as an email", RULE, email("app.cluster-a.example"))
    yield case("the rule's DNS name as the common name", RULE,
               leaf(ROOT, subject=common_name("app.cluster-a.example"), names=(dns("x.example"),)))
    yield hostile("an email that a rule names", OK, email("app@cluster-a.example"))
    yield hostile("an email near a rule's", RULE, email("app@cluster-a.example.evil"))
    yield hostile("an email with NUL", INVALID, email("app@cluster-a.example\0x"))
    yield hostile("an address that a rule names", OK, ip(192, 0, 2, 10))
    yield hostile("an address near a rule's", RULE, ip(192, 0, 2, 11))
    yield hostile("the rule's address as text in a DNS name", RULE, dns("192.0.2.10"))
    yield hostile("the rule's address in the IPv6 form", RULE, ip(*[0] * 10, 255, 255, 192, 0, 2, 10))
    yield unable("an address of 0 bytes", leaf(ROOT, names=(ip(),)))
    for size in (3, 5, 8, 15, 17):
        yield hostile(f"an address of {size} bytes", INVALID, ip(*range(size)))
    yield case("alternative names without a name", INVALID, leaf(ROOT, names=()))
    undecodable = leaf(ROOT, names=None, extra=[extension("2.5.29.17", octets(b"x"))])
    yield case("alternative names that are no sequence", INVALID, undecodable, python=None, gnutls=None)
    yield case("no alternative names", OK, leaf(ROOT, names=None))
    yield case("an empty subject, a critical name that a rule names", OK,
               leaf(ROOT, subject=name(), names=(uri(app + "shop"),), critical_names=True))
    yield case("an empty subject, a name that is not critical", INVALID,
               leaf(ROOT, subject=name(), names=(uri(app + "shop"),)))
    yield case("an empty subject and no name", INVALID, leaf(ROOT, subject=name(), names=None))
    for kind, expected in (("utf8", OK), ("printable", OK), ("teletex", INVALID), ("bmp", INVALID),
                           ("universal", INVALID)):
        yield case(f"the common name as {kind} text", expected, leaf(ROOT, subject=common_name("good", kind)))
    for near in ("Good", "good ", " good", "goo\u0434", "g\u043eod", "good.evil", "*", "g*"):
        yield case(f"a common name near a rule's: {near!r}", RULE, leaf(ROOT, subject=common_name(near)))
    yield case("a common name with NUL", INVALID, leaf(ROOT, subject=common_name("good\0evil")))
    yield case("a common name that looks like two", RULE, leaf(ROOT, subject=common_name("x,CN=good")))
    yield case("the rule's common name as the organization", RULE, leaf(ROOT, subject=name(("O", "good"))))
    yield case("who is denied", "denied", leaf(ROOT, subject=common_name("good"), names=(dns("denied.example"),)))


def keys():
    for kind in ("p256", "p384", "ed25519", "rsa2048", "rsa3072"):
        yield case(f"a key {kind}", OK, leaf(ROOT, kind=kind))
    # In TLS 1.3 no signature fits, and a client sends nothing; in 1.2 it tries.
    for kind in ("p521", "p224"):
        yield case(f"a key {kind}", (NONE, "tls-failure"), leaf(ROOT, kind=kind))
    yield case("a key k256", (NONE, "tls-failure"), leaf(ROOT, kind="k256"), gnutls=None)
    yield case("a key p192", (NONE, INVALID), leaf(ROOT, kind="p192"))
    yield case("a key rsa1024", INVALID, leaf(ROOT, kind="rsa1024"))
    for kind in ("p384", "p521", "rsa2048", "rsa3072", "ed25519"):
        above = authority(f"intermediate {kind}", ROOT, kind=kind)
        digests = {"rsa2048": ("sha256", "sha512", "pss"), "p384": ("sha384",), "p521": ("sha512",)}
        for digest in digests.get(kind, ("sha256",)):
            yield case(f"signed by {kind} with {digest}", OK, leaf(above, digest=digest), above)
    weak = authority("intermediate rsa1024", ROOT, kind="rsa1024")
    yield case("an intermediate of rsa1024", INVALID, leaf(weak), weak)
    small = authority("intermediate p192", ROOT, kind="p192")
    yield case("an intermediate of p192", INVALID, leaf(small, digest="sha256"), small)
    signer = authority("intermediate rsa2048", ROOT, kind="rsa2048")
    for digest in ("md5", "sha1"):
        yield case(f"signed with rsa and {digest}", INVALID, leaf(signer, digest=digest), signer)
    yield case("signed with ecdsa and sha1", INVALID, leaf(ROOT, digest="sha1"))
    yield case("signed with ecdsa and sha224", OK, leaf(ROOT, digest="sha224"))
    above = authority("intermediate by sha1", ROOT, digest="sha1")
    yield case("an intermediate signed with sha1", INVALID, leaf(above), above)


def forms():
    yield case("version 1", PURPOSE,
               leaf(ROOT, names=None, purposes=(), usage=(), constraints=None, key_identifiers=False, version=0))
    yield case("version 1 with extensions", INVALID, leaf(ROOT, version=0), gnutls=None)
    first = authority("version 1", ROOT, version=0, constraints=b"", usage=(), key_identifiers=False)
    yield case("an intermediate of version 1", INVALID, leaf(first), first)
    yield case("a negative serial number", INVALID, leaf(ROOT, serial=-7))
    yield case("the serial number zero", OK, leaf(ROOT, serial=0))
    yield case("a serial number of 20 bytes", OK, leaf(ROOT, serial=2 ** 158 + 1))
    yield case("a serial number of 64 bytes", OK, leaf(ROOT, serial=2 ** 510 + 1))
    yield case("a critical extension that nobody knows", INVALID,
               leaf(ROOT, extra=[extension("1.3.6.1.4.1.99999.1", octets(b"x"), True)]))
    yield case("an extension that nobody knows", OK,
               leaf(ROOT, extra=[extension("1.3.6.1.4.1.99999.1", octets(b"x"))]))
    strange = authority("strange", ROOT, extra=[extension("1.3.6.1.4.1.99999.1", octets(b"x"), True)])
    yield case("an intermediate with a critical extension that nobody knows", INVALID, leaf(strange), strange)
    openssl_only = {"python": None, "gnutls": None}
    repeated = alternative_names(uri("spiffe://cluster-a/app/shop"))
    yield case("alternative names twice", INVALID, leaf(ROOT, extra=[repeated]), **openssl_only)
    yield unable("an unknown extension twice",
                 leaf(ROOT, extra=[extension("1.3.6.1.4.1.99999.1", octets(b"x"))] * 2))
    yield case("extended key usage twice", INVALID, leaf(ROOT, extra=[extended_key_usage("server")]), **openssl_only)
    yield case("basic constraints twice", INVALID, leaf(ROOT, extra=[basic_constraints(True)]), **openssl_only)
    yield case("no key identifiers", INVALID, leaf(ROOT, key_identifiers=False))
    wrong = extension("2.5.29.35", sequence(tlv(0x80, key_name(FOREIGN_ROOT.key))))
    yield case("the wrong authority key identifier", FOREIGN, leaf(ROOT, key_identifiers=False, extra=[wrong]))
    yield case("a key usage that cannot be decoded", INVALID,
               leaf(ROOT, usage=(), extra=[extension("2.5.29.15", octets(b"x"), True)]), python=None)
    yield case("basic constraints that cannot be decoded", INVALID,
               leaf(ROOT, constraints=extension("2.5.29.19", octets(b"x"), True)), python=None)
    yield case("validity that ends before it begins", "not-yet-valid", leaf(ROOT, start=3600, end=-3600))


def revocation():
    """Names of listeners are those of `revocation_lists`."""
    gone = authority("revoked intermediate", ROOT)
    revoked_leaf, below_gone = leaf(INTER), leaf(gone)
    at_root = leaf(ROOT)
    lists = {
        "fresh": [revocation_list(ROOT, [gone, at_root]), revocation_list(INTER, [revoked_leaf]),
                  revocation_list(gone)],
        "ended": [revocation_list(ROOT), revocation_list(INTER, [revoked_leaf], start=-7200, end=-3600)],
        "future": [revocation_list(ROOT), revocation_list(INTER, [revoked_leaf], start=3600)],
        "missing": [revocation_list(ROOT)],
        "foreign": [revocation_list(ROOT), revocation_list(FOREIGN_ROOT, [revoked_leaf])],
        "forged": [revocation_list(ROOT), revocation_list(INTER, signer=FOREIGN_ROOT.key)],
    }
    cases = [
        case("a leaf that is not revoked", OK, leaf(INTER), INTER, listener="fresh"),
        case("a revoked leaf", REVOKED, revoked_leaf, INTER, listener="fresh"),
        case("a revoked leaf of the root", REVOKED, at_root, listener="fresh"),
        case("a revoked intermediate", REVOKED, below_gone, gone, listener="fresh"),
        case("a revoked serial number of another authority", OK, leaf(ROOT, serial=revoked_leaf.serial),
             listener="fresh"),
        case("no certificate, where lists are looked up", NONE, None, listener="fresh"),
        case("revoked by a list that has ended", REVOKED, revoked_leaf, INTER, listener="ended"),
        case("revoked by a list of tomorrow", REVOKED, revoked_leaf, INTER, listener="future"),
        case("a leaf of the root, while another's list is missing", OK, leaf(ROOT), listener="missing"),
    ]
    for listener, what in (("ended", "has ended"), ("future", "is of tomorrow"), ("missing", "is missing"),
                           ("foreign", "is another authority's"), ("forged", "another has signed")):
        cases.append(case(f"a list that {what}", UNKNOWN, leaf(INTER), INTER, listener=listener))
    return lists, cases


def protocols():
    """Every protocol of a listener keeps the same door."""
    for listener in ("postgres", "redis", "cassandra"):
        for title, expected, certificate in (
                ("no certificate", NONE, None), ("a good one", OK, leaf(ROOT)),
                ("foreign authority", FOREIGN, leaf(FOREIGN_ROOT)), ("no rule", RULE, leaf(ROOT, subject=STRANGER)),
                ("expired", "expired", leaf(ROOT, start=-7200, end=-1)), ("an authority", AUTHORITY, leaf(
                    ROOT, constraints=basic_constraints(True), usage=("digitalSignature", "keyCertSign"))),
                ("for servers", PURPOSE, leaf(ROOT, purposes=("server",))),
                ("denied", "denied", leaf(ROOT, names=(dns("denied.example"),)))):
            yield case(f"{listener}: {title}", expected, certificate, listener=listener)


def table():
    lists, cases = revocation()
    for part in (plain, purposes, authorities, plain_roots, constraints, names, keys, forms, protocols):
        cases += part()
    return lists, cases
