import Foundation

/// What a test wants to stand in a certificate, and the `openssl` configuration that says so.
package struct TestCertificate: Sendable {
    package enum Usage: String, Sendable {
        case client = "clientAuth", server = "serverAuth", any = "anyExtendedKeyUsage"
    }

    package enum Key: Sendable {
        case ecP256, ecP384, rsa2048, rsa1024, ed25519

        var arguments: [String] {
            switch self {
            case .ecP256: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            case .ecP384: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]
            case .rsa2048: ["-newkey", "rsa:2048"]
            case .rsa1024: ["-newkey", "rsa:1024"]
            case .ed25519: ["-newkey", "ed25519"]
            }
        }
    }

    var commonName: String?
    var organization: String?
    var organizationalUnit: String?
    var dnsNames: [String] = []
    var addresses: [String] = []
    var uris: [String] = []
    var emails: [String] = []
    var usage: [Usage] = []
    /// Seconds from now.
    var validity: ClosedRange<Double> = -3600...86400
    var isAuthority = false
    var pathLength: Int?
    var key = Key.ecP256
    /// Lines of the extension section by name: they replace the usual ones; nil leaves one out.
    var extensions: [String: String?] = [:]

    static func authority(name: String, pathLength: Int? = nil) -> TestCertificate {
        TestCertificate(
            commonName: name, organization: "nodeguard tests", validity: -7200...864_000, isAuthority: true,
            pathLength: pathLength)
    }

    var hasSubject: Bool { commonName != nil || organization != nil || organizationalUnit != nil }

    var dates: [String] {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "yyyyMMddHHmmss'Z'"
        return [
            "-startdate", format.string(from: Date(timeIntervalSinceNow: validity.lowerBound)),
            "-enddate", format.string(from: Date(timeIntervalSinceNow: validity.upperBound)),
        ]
    }

    func configuration(isSelfSigned: Bool, folder: String) -> String {
        let names = [("CN", commonName), ("O", organization), ("OU", organizationalUnit)]
            .compactMap { name, value in value.map { "\(name) = \(Self.escaped($0))" } }
        return """
            [req]
            prompt = no
            utf8 = yes
            string_mask = utf8only
            distinguished_name = subject
            [subject]
            \(names.joined(separator: "\n"))
            [ca]
            default_ca = authority
            [authority]
            database = \(folder)/index.txt
            new_certs_dir = \(folder)
            rand_serial = yes
            default_md = default
            policy = policy
            preserve = yes
            unique_subject = no
            [policy]
            CN = optional
            O = optional
            OU = optional
            [extensions]
            \(extensionLines(isSelfSigned: isSelfSigned))

            """
    }

    private func extensionLines(isSelfSigned: Bool) -> String {
        var lines: [String: String] = [
            "basicConstraints": isAuthority
                ? "critical,CA:TRUE" + (pathLength.map { ",pathlen:\($0)" } ?? "") : "critical,CA:FALSE",
            "keyUsage": isAuthority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature",
            "subjectKeyIdentifier": "hash",
        ]
        if !isSelfSigned { lines["authorityKeyIdentifier"] = "keyid:always" }
        if !usage.isEmpty { lines["extendedKeyUsage"] = usage.map(\.rawValue).joined(separator: ",") }
        let alternatives =
            dnsNames.map { "DNS:\($0)" } + addresses.map { "IP:\($0)" } + uris.map { "URI:\($0)" }
            + emails.map { "email:\($0)" }
        if !alternatives.isEmpty { lines["subjectAltName"] = alternatives.joined(separator: ",") }
        for (name, value) in extensions { lines[name] = value }
        return lines.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: "\n")
    }

    private static func escaped(_ value: String) -> String {
        value.map { "\\#$\"'".contains($0) ? "\\\($0)" : "\($0)" }.joined()
    }
}
