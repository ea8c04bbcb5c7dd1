import OpenSSL

/// What a certificate is asked to say, and so what the issued one must say: nothing less, no other name.
package struct CertificateWish: Sendable, Equatable {
    package let commonName: String
    package let organization: String?
    package let dnsNames: [String]
    package let addresses: [[UInt8]]
    package let uris: [String]
    package let server: Bool
    package let client: Bool

    package init(
        commonName: String, organization: String?, dnsNames: [String] = [], addresses: [[UInt8]] = [],
        uris: [String] = [], server: Bool, client: Bool
    ) {
        self.commonName = commonName
        self.organization = organization
        self.dnsNames = dnsNames
        self.addresses = addresses
        self.uris = uris
        self.server = server
        self.client = client
    }

    /// The node identity: a client that is this node and nobody else.
    static func identity(of node: String, in cluster: String) -> CertificateWish {
        CertificateWish(
            commonName: node, organization: cluster, dnsNames: [node], uris: ["spiffe://\(cluster)/node/\(node)"],
            server: false, client: true)
    }

    func request(key: PrivateKey, details: RequestDetails = .standard) throws(OpenSSLError) -> [UInt8] {
        try SigningRequest.make(
            key: key, commonName: commonName, organization: organization, dnsNames: dnsNames, addresses: addresses,
            uris: uris, serverAuth: server, clientAuth: client, details: details)
    }

    /// The first difference; nil if the certificate says what was wished. Names are compared byte by byte.
    package func difference(from certificate: Certificate) -> String? {
        if let wrong = Self.difference([commonName], certificate.commonNames) { return "common name: \(wrong)" }
        if let organization, let wrong = Self.difference([organization], certificate.organizations) {
            return "organization: \(wrong)"
        }
        if let wrong = Self.difference(dnsNames, certificate.dnsNames) { return "DNS name: \(wrong)" }
        if let wrong = Self.difference(uris, certificate.uris) { return "URI: \(wrong)" }
        if let wrong = Self.difference([], certificate.emails) { return "e-mail address: \(wrong)" }
        if Set(addresses) != Set(certificate.addresses) { return "its addresses are not those that were asked for" }
        let allowed = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]
        if let other = certificate.extendedKeyUsages.first(where: { !allowed.contains($0) }) {
            return "the extended key usage \(other) was not asked for"
        }
        if server, !certificate.allowsServerAuthentication { return "it does not allow server authentication" }
        if client, !certificate.allowsClientAuthentication { return "it does not allow client authentication" }
        return nil
    }

    private static func difference(_ wished: [String], _ found: [String]) -> String? {
        let wishedBytes = Set(wished.map { Array($0.utf8) })
        let foundBytes = Set(found.map { Array($0.utf8) })
        if let extra = foundBytes.subtracting(wishedBytes).first {
            return "\(String(decoding: extra.prefix(200), as: UTF8.self)) was not asked for"
        }
        if let missing = wishedBytes.subtracting(foundBytes).first {
            return "\(String(decoding: missing.prefix(200), as: UTF8.self)) is missing"
        }
        return nil
    }
}
