"""Certificates and CRLs written byte by byte, so that each can be wrong in exactly one way."""
import datetime
import hashlib
import itertools

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def sequence(*parts):
    return tlv(0x30, *parts)


def octets(body):
    return tlv(0x04, body)


def bits(body, unused=0):
    return tlv(0x03, bytes([unused]), body)


def boolean(value):
    return tlv(0x01, b"\xff" if value else b"\x00")


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def identifier(text):
    first, second, *rest = map(int, text.split("."))
    body = bytearray()
    for arc in [first * 40 + second, *rest]:
        piece = [arc & 0x7F]
        while arc := arc >> 7:
            piece.append(0x80 | arc & 0x7F)
        body += bytes(reversed(piece))
    return tlv(0x06, bytes(body))


def moment(offset):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset)
    return tlv(0x17, at.strftime("%y%m%d%H%M%SZ").encode())


ATTRIBUTES = {"CN": "2.5.4.3", "O": "2.5.4.10", "OU": "2.5.4.11"}
STRINGS = {"utf8": (0x0C, "utf-8"), "printable": (0x13, "ascii"), "teletex": (0x14, "latin-1"),
           "universal": (0x1C, "utf-32-be"), "bmp": (0x1E, "utf-16-be")}


def name(*attributes, kind="utf8"):
    tag, encoding = STRINGS[kind]
    return sequence(*(
        tlv(0x31, sequence(identifier(ATTRIBUTES[key]), tlv(tag, value.encode(encoding))))
        for key, value in attributes))


def common_name(value, kind="utf8"):
    return name(("CN", value), kind=kind)


def email(value): return tlv(0x81, value.encode("latin-1"))
def dns(value): return tlv(0x82, value.encode("latin-1"))
def uri(value): return tlv(0x86, value.encode("latin-1"))
def ip(*value): return tlv(0x87, bytes(value))
def other_name(value): return tlv(0xA0, identifier("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, value.encode())))
def directory_name(value): return tlv(0xA4, value)


def extension(number, value, critical=False):
    return sequence(identifier(number), *([boolean(True)] if critical else []), octets(value))


def alternative_names(*names, critical=False): return extension("2.5.29.17", sequence(*names), critical)


def basic_constraints(authority, path_length=None):
    length = [] if path_length is None else [integer(path_length)]
    return extension("2.5.29.19", sequence(*([boolean(True)] if authority else []), *length), True)


def key_usage(*usages):
    order = ["digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
             "keyCertSign", "cRLSign"]
    places = [order.index(usage) for usage in usages]
    byte = sum(0x80 >> place for place in places)
    return extension("2.5.29.15", bits(bytes([byte]), 7 - max(places, default=7)), True)


PURPOSES = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2", "code": "1.3.6.1.5.5.7.3.3",
            "email": "1.3.6.1.5.5.7.3.4", "time": "1.3.6.1.5.5.7.3.8", "any": "2.5.29.37.0",
            "smartcard": "1.3.6.1.4.1.311.20.2.2"}


def extended_key_usage(*purposes, critical=False):
    return extension("2.5.29.37", sequence(*(identifier(PURPOSES[each]) for each in purposes)), critical)


def name_constraints(permitted=(), excluded=()):
    def subtrees(tag, names):
        return [tlv(tag, *(sequence(each) for each in names))] if names else []
    return extension("2.5.29.30", sequence(*subtrees(0xA0, permitted), *subtrees(0xA1, excluded)), True)


PSS = sequence(
    identifier("1.2.840.113549.1.1.10"),
    sequence(
        tlv(0xA0, sequence(identifier("2.16.840.1.101.3.4.2.1"), b"\x05\x00")),
        tlv(0xA1, sequence(identifier("1.2.840.113549.1.1.8"),
                           sequence(identifier("2.16.840.1.101.3.4.2.1"), b"\x05\x00"))),
        tlv(0xA2, integer(32))))
ECDSA = {"sha1": "1.2.840.10045.4.1", "sha224": "1.2.840.10045.4.3.1", "sha256": "1.2.840.10045.4.3.2",
         "sha384": "1.2.840.10045.4.3.3", "sha512": "1.2.840.10045.4.3.4"}
RSA = {"md5": "1.2.840.113549.1.1.4", "sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11",
       "sha384": "1.2.840.113549.1.1.12", "sha512": "1.2.840.113549.1.1.13"}


def algorithm(key, digest):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return sequence(identifier("1.3.101.112"))
    if isinstance(key, rsa.RSAPrivateKey):
        return PSS if digest == "pss" else sequence(identifier(RSA[digest]), b"\x05\x00")
    return sequence(identifier(ECDSA[digest]))


def signature(key, digest, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if digest == "pss":
        return key.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    function = getattr(hashes, digest.upper())()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), function)
    return key.sign(message, ec.ECDSA(function))


def public(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(kind, der):
    import base64
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


MADE = {}


def key(kind, number=0):
    """One key for each kind and number."""
    if (kind, number) not in MADE:
        if kind.startswith("rsa"):
            made = rsa.generate_private_key(65537, int(kind[3:]))
        elif kind == "ed25519":
            made = ed25519.Ed25519PrivateKey.generate()
        else:
            curves = {"p192": ec.SECP192R1, "p224": ec.SECP224R1, "p256": ec.SECP256R1, "p384": ec.SECP384R1,
                      "p521": ec.SECP521R1, "k256": ec.SECP256K1}
            made = ec.generate_private_key(curves[kind]())
        MADE[kind, number] = made
    return MADE[kind, number]


def key_name(of):
    return hashlib.sha1(public(of)).digest()


SERIALS = itertools.count(0x1000)


class Issued:
    """A certificate with its key; what it signs names it as the issuer."""

    def __init__(self, der, private, subject, serial):
        self.der, self.key, self.subject, self.serial = der, private, subject, serial


def issue(issuer, private, subject, extensions, *, serial=None, start=-3600, end=86400, digest="sha256",
          version=2, signer=None, issuer_name=None, key_identifiers=True):
    """`issuer` None: self-signed. `signer`: another key than the issuer's."""
    serial = next(SERIALS) if serial is None else serial
    signing = signer or (issuer.key if issuer else private)
    above = issuer.key if issuer else private
    names = issuer_name or (issuer.subject if issuer else subject)
    extensions = list(extensions)
    if key_identifiers:
        extensions += [extension("2.5.29.14", octets(key_name(private))),
                       extension("2.5.29.35", sequence(tlv(0x80, key_name(above))))]
    body = sequence(
        *([tlv(0xA0, integer(version))] if version else []), integer(serial), algorithm(signing, digest), names,
        sequence(moment(start), moment(end)), subject, public(private),
        *([tlv(0xA3, sequence(*extensions))] if extensions else []))
    der = sequence(body, algorithm(signing, digest), bits(signature(signing, digest, body)))
    return Issued(der, private, subject, serial)


def authority(title, issuer=None, *, kind="p256", number=None, path_length=None, extra=(), usage=None,
              constraints=None, **how):
    private = key(kind, title if number is None else number)
    usage = ("keyCertSign", "cRLSign") if usage is None else usage
    extensions = [constraints if constraints is not None else basic_constraints(True, path_length)]
    extensions += [key_usage(*usage)] if usage else []
    return issue(issuer, private, common_name(title), [*filter(None, extensions), *extra], **how)


def leaf(issuer, *, subject=None, names=(dns("good.example"),), purposes=("client",), usage=("digitalSignature",),
         constraints=basic_constraints(False), kind="p256", number="leaf", extra=(), critical_names=False, **how):
    extensions = [constraints] if constraints else []
    extensions += [key_usage(*usage)] if usage else []
    extensions += [extended_key_usage(*purposes)] if purposes else []
    extensions += [alternative_names(*names, critical=critical_names)] if names is not None else []
    return issue(issuer, key(kind, number), common_name("good") if subject is None else subject,
                 [*extensions, *extra], **how)


def revocation_list(issuer, revoked=(), *, start=-3600, end=86400, signer=None, number=1, subject=None):
    signing = signer or issuer.key
    entries = [sequence(integer(each.serial), moment(-60)) for each in revoked]
    body = sequence(
        integer(1), algorithm(signing, "sha256"), subject or issuer.subject, moment(start), moment(end),
        *([sequence(*entries)] if entries else []),
        tlv(0xA0, sequence(extension("2.5.29.35", sequence(tlv(0x80, key_name(signing)))),
                           extension("2.5.29.20", integer(number)))))
    return sequence(body, algorithm(signing, "sha256"), bits(signature(signing, "sha256", body)))
