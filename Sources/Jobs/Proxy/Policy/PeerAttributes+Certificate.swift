import OpenSSL

extension PeerAttributes {
    /// Of a certificate that a handshake has verified.
    init(_ certificate: Certificate) {
        self.init()
        commonNames = certificate.commonNames
        organizations = certificate.organizations
        organizationalUnits = certificate.organizationalUnits
        dnsNames = certificate.dnsNames
        addresses = certificate.addresses
        uris = certificate.uris
        emails = certificate.emails
        subject = certificate.subject
        issuer = certificate.issuer
        serial = certificate.serial
        publicKeySHA256 = certificate.publicKeySHA256
        usages = certificate.extendedKeyUsages
    }
}
