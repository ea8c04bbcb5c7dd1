import ArgumentParser
import Crypto
import FoundationEssentials
import SwiftASN1
import X509

struct ClientCertificateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client-certificate",
        abstract: "Make a certificate for an application or a person.",
        discussion: """
            Writes client.crt (with its issuer), client.key (0600) and ca.crt (the root; both while it is being \
            changed) into a folder.
            """)

    @Option(help: "The cluster whose listeners it is for.") var cluster: String
    @Option(help: "The common name.") var name: String
    @Option(help: "The URI name; default spiffe://CLUSTER/app/NAME.") var uri: String?
    @Option(help: "How many days it lives.") var days = 30
    @Option(help: "The folder to write into.") var out: String
    @OptionGroup var state: StateOption

    func validate() throws {
        guard (1...1825).contains(days) else { throw ValidationError("--days is 1 to 1825") }
        guard !name.isEmpty, name.utf8.count <= 64, name.unicodeScalars.allSatisfy({ $0.value >= 0x20 }) else {
            throw ValidationError("--name has 1 to 64 bytes and no control characters")
        }
        for text in [uri].compactMap({ $0 }) where !text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            throw ValidationError("--uri '\(text)' has characters that no URI has")
        }
    }

    func run() throws {
        let state = try state.open()
        let key = P256.Signing.PrivateKey()
        let uri = uri ?? "spiffe://\(cluster)/app/\(name)"
        let profile = CertificateProfile(
            subject: try DistinguishedName {
                OrganizationName(cluster)
                CommonName(name)
            },
            publicKey: Certificate.PublicKey(key.publicKey), keyEncipherment: false,
            alternativeNames: try Certificate.Extension(
                SubjectAlternativeNames([.uniformResourceIdentifier(uri)]),
                critical: false),
            usages: [.client], lifetime: Int64(days) * 86_400)
        let (certificate, chain, roots) = try state.database.write { database in
            try state.requireCluster(cluster, database)
            let inForce = try AuthoritiesInForce(database)
            guard let issuer = inForce.issuer(of: cluster, for: nil) else {
                throw PlaneProblem("the cluster \(cluster) has no authority", remedy: "restore the state folder")
            }
            let certificate = try issuer.load(from: state, database).issue(profile, now: UnixTime.now)
            try IssuedCertificates.record(
                certificate, of: IssuedCertificates.Holder(kind: .client, cluster: cluster, name: name), by: issuer,
                database)
            try state.log.record(
                PlaneEvent(
                    name: "client-certificate.issue", actor: .caller, cluster: cluster,
                    detail: "\(certificate.subject), \(uri), serial \(certificate.serialText), "
                        + "until \(UnixTime.text(certificate.notAfterSeconds))"),
                now: UnixTime.now, database)
            return (certificate, inForce.chain(above: issuer), inForce.roots)
        }
        try StateFile.makeFolder(out)
        try StateFile.write(Array((key.pemRepresentation + "\n").utf8), to: out + "/client.key")
        let above = try chain.map { try Certificate(derEncoded: $0).pemText }.joined()
        try StateFile.write(Array((certificate.pemText + above).utf8), to: out + "/client.crt", mode: 0o644)
        try StateFile.write(Array(roots.map(\.certificate.pemText).joined().utf8), to: out + "/ca.crt", mode: 0o644)
        print("\(out)/client.crt is \(certificate.subject), serial \(certificate.serialText)")
    }
}

struct TrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust", abstract: "Write the root certificate, and print its pin.",
        discussion: "While the root is being changed, those of both roots, a pin on each line.")

    @Option(help: "The file to write.") var out: String
    @OptionGroup var state: StateOption

    func run() throws {
        let roots = try state.open().database.read { try AuthoritiesInForce($0).roots }
        try StateFile.write(Array(roots.map(\.certificate.pemText).joined().utf8), to: out, mode: 0o644)
        for root in roots { print(root.certificate.pin) }
    }
}

struct RevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a certificate; the plane refuses it at once, the next CRL lists it.",
        discussion: """
            Nodes whose listeners say 'crl: [cluster]' have that CRL from a running plane within a second, and end the \
            sessions of the certificate. Others read it from a file: it is at /v1/clusters/CLUSTER/crl.
            """)

    @Argument(help: "Its serial number in hex, with or without colons.") var serial: String
    @OptionGroup var root: RootKeyOption
    @OptionGroup var state: StateOption

    func run() throws {
        let state = try root.open(state)
        let digits = serial.replacing(":", with: "").uppercased()
        if try revokeAuthority(digits, state) { return }
        let (cluster, url) = try state.database.write { database in
            guard let cluster = try IssuedCertificates.revoke(serial: digits, now: UnixTime.now, database) else {
                throw PlaneProblem(
                    "no certificate \(digits) that could be revoked",
                    remedy: "`nodeguard-plane nodes` and `cluster list` show the serials")
            }
            try state.log.record(
                PlaneEvent(
                    name: "certificate.revoke", actor: .caller, cluster: cluster,
                    detail: "serial \(digits)"),
                now: UnixTime.now, database)
            return (cluster, try PlaneState.setting(PlaneState.urlSetting, database))
        }
        let plane = url.map { String(decoding: $0, as: UTF8.self) } ?? "https://PLANE"
        print(
            """
            \(digits) is revoked: this plane refuses it from now on.
            Listeners of \(cluster) that say crl: [cluster] refuse it within a second after their node hears of it, and
            end its sessions; a node waits for the news if it reaches this plane. For others, and other programs, the
            CRL (it ends after \(RevocationList.lifetime / 86_400) days) is at
                \(plane)/v1/clusters/\(cluster)/crl
            """)
    }

    /// False: it is no authority's. A cluster never stands without one: its successor is made in the same step.
    private func revokeAuthority(_ digits: String, _ state: PlaneState) throws -> Bool {
        let now = UnixTime.now
        let cluster = try state.database.write { database -> String? in
            let inForce = try AuthoritiesInForce(database)
            guard let record = inForce.records.first(where: { $0.certificate.serialText == digits }) else { return nil }
            guard let cluster = record.cluster, let root = inForce.record(record.root) else {
                throw PlaneProblem(
                    "\(digits) is a root, which no list can revoke", remedy: "change it with `rotate-ca start`")
            }
            guard record.revokedAt == nil else {
                throw PlaneProblem("\(digits) was revoked before", remedy: "nothing was changed")
            }
            try AuthorityRecord.revoke(record, now: now, database)
            let next = try state.addIntermediate(of: cluster, under: root, now: now, database)
            if try OfflineRoot.since(root, database) != nil {
                try PublishedLists.signForLong(root, state, now: now, database)
            }
            try state.log.record(
                PlaneEvent(
                    name: "authority.revoke", actor: .caller, cluster: cluster,
                    detail: "serial \(digits); its successor is \(next.certificate.serialText)"),
                now: now, database)
            return cluster
        }
        guard let cluster else { return false }
        print(
            """
            The authority \(digits) of \(cluster) is revoked, and another issues in its place.
            Listeners of \(cluster) that say crl: [cluster] and look up whole chains refuse everything that it has
            issued, and end its sessions. Its nodes renew by themselves; applications need new certificates.
            """)
        return true
    }
}
