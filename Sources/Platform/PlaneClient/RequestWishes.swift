import FoundationEssentials
import OpenSSL
import SwiftASN1

/// What an EST server wishes to find in a request (csrattrs, RFC 7030 §4.5.2 with RFC 8951 §3.2), as far as this agent
/// follows it: kind of key, digest of the signature, and extensions that say nothing about who somebody is. Names and
/// usages are the configuration's alone, and no wish makes a key weaker than the house has them.
package struct RequestWishes: Sendable, Equatable {
    static let mediaType = "application/csrattrs"
    package static let sizeLimit = 16 << 10
    package static let countLimit = 64
    private static let extensionLimit = (count: 8, size: 1024)

    /// The configured one, or the one that is wished for.
    package var keyKind: KeyKind
    package var details = RequestDetails.standard
    /// In words, each short; the request goes without them.
    package var unmet: [String] = []
    /// The server demands a challengePassword, which is bound to the connection by tls-unique (RFC 7030 §3.5).
    package var demandsChannelBinding = false

    init(keyKind: KeyKind, unmet: [String] = []) {
        self.keyKind = keyKind
        self.unmet = unmet
    }

    /// Base64 with any line breaks; an empty body has no wishes.
    package init(inBase64 body: [UInt8], configured: KeyKind) throws(PlaneError) {
        guard body.count <= 2 * Self.sizeLimit else { throw Self.flaw("they are longer than \(Self.sizeLimit) bytes") }
        if body.allSatisfy({ [0x0D, 0x0A, 0x20, 0x09].contains($0) }) {
            self.init(keyKind: configured)
        } else {
            try self.init(in: try CertificateBag.decodeBase64(body), configured: configured)
        }
    }

    package init(in der: [UInt8], configured: KeyKind) throws(PlaneError) {
        guard der.count <= Self.sizeLimit else { throw Self.flaw("they are longer than \(Self.sizeLimit) bytes") }
        self.init(keyKind: configured)
        var found = Findings()
        do {
            try found.read(try BER.parse(der))
        } catch let error as PlaneError {
            throw error
        } catch {
            throw Self.flaw("\(error)")
        }
        demandsChannelBinding = found.demandsChannelBinding
        unmet = found.others
        chooseKey(found, configured)
        chooseDigest(found.signatures)
        choose(found.extensions)
        unmet = unmet.prefix(Self.countLimit).map { String($0.prefix(120)) }
    }

    static func flaw(_ detail: String) -> PlaneError {
        PlaneError(.protocolError, "the wished attributes cannot be read: \(detail)")
    }

    /// The first key that we make; one that goes with the signature, where only that is wished for.
    private mutating func chooseKey(_ found: Findings, _ configured: KeyKind) {
        let possible = found.keys.compactMap { $0.kind(configured) }
        if let first = possible.first {
            keyKind = first
        } else if !found.keys.isEmpty {
            unmet += found.keys.map(\.words)
        } else if !found.signatures.isEmpty, !found.signatures.contains(where: { $0.fits(configured) }) {
            keyKind =
                switch found.signatures[0].family {
                case .rsa: .rsa3072
                case .ellipticCurve, nil: found.signatures[0].digest == .sha384 ? .ecP384 : .ecP256
                }
        }
    }

    private mutating func chooseDigest(_ signatures: [WishedSignature]) {
        if let first = signatures.first(where: { $0.fits(keyKind) }) {
            details.digest = first.digest
        } else {
            unmet += signatures.map { "a signature by \($0.words)" }
        }
    }

    private mutating func choose(_ extensions: [RequestDetails.Extension]) {
        for one in extensions {
            let isNew = !details.extensions.contains { $0.identifier == one.identifier }
            if Findings.copiedExtensions.contains(one.identifier), isNew, one.value.count <= Self.extensionLimit.size,
                details.extensions.count < Self.extensionLimit.count
            {
                details.extensions.append(one)
            } else {
                unmet.append("its own content of the extension \(one.identifier)")
            }
        }
    }
}

/// A key that a server wishes for.
enum WishedKey: Equatable {
    /// nil: any curve, any length.
    case ellipticCurve(String?)
    case rsa(bits: Int?)

    /// nil: we make no such key.
    func kind(_ configured: KeyKind) -> KeyKind? {
        switch self {
        case .ellipticCurve(nil): [.ecP256, .ecP384].contains(configured) ? configured : .ecP256
        case .ellipticCurve("1.2.840.10045.3.1.7"): .ecP256
        case .ellipticCurve("1.3.132.0.34"): .ecP384
        case .ellipticCurve: nil
        case .rsa(nil), .rsa(3072): .rsa3072
        case .rsa: nil
        }
    }

    var words: String {
        switch self {
        case .ellipticCurve(let curve): "a key on the curve \(curve ?? "")"
        case .rsa(let bits): "an RSA key of \(bits ?? 0) bits"
        }
    }
}

/// A signature that a server wishes for.
struct WishedSignature: Equatable {
    enum Family: Equatable { case ellipticCurve, rsa }

    /// nil: of any key.
    let family: Family?
    let digest: RequestDetails.Digest

    var words: String {
        switch family {
        case .ellipticCurve: "ECDSA with \(digest.rawValue)"
        case .rsa: "RSA with \(digest.rawValue)"
        case nil: digest.rawValue
        }
    }

    func fits(_ kind: KeyKind) -> Bool {
        switch kind {
        case .ecP256, .ecP384: family != .rsa
        case .rsa3072: family != .ellipticCurve
        case .ed25519: false
        }
    }
}
