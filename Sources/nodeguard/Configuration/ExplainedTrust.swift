import Certificates
import IO
import OpenSSL
import Proxy
import Reports

/// Whom a listener trusts, as far as files tell: those that it names, and what the daemon has stored of the cluster;
/// with the CRLs that it looks clients up in.
struct ExplainedTrust {
    enum Verdict: Sendable {
        case trusted(under: String)
        case refused(String)
        /// What it would be held to cannot be read.
        case unknown(String)
    }

    private static let sizeLimit = 1 << 20

    private let listener: ListenerSection
    private let state: String

    init(_ listener: ListenerSection, state: String) {
        self.listener = listener
        self.state = state
    }

    /// As the handshake of a client with this chain, leaf first, would end.
    func verdict(on chain: [Certificate], at unixSeconds: Int64) -> Verdict {
        guard let leaf = chain.first else { return .refused("there is no certificate") }
        let anchors: TrustAnchors
        do {
            anchors = try self.anchors()
        } catch { return .unknown("\(error)") }
        switch anchors.verify(
            leaf: leaf, intermediates: Array(chain.dropFirst()), purpose: .client, at: unixSeconds)
        {
        case .trusted(let verified): return .trusted(under: verified.last?.subject ?? "")
        case .refused(let reason): return .refused(reason)
        }
    }

    private func anchors() throws -> TrustAnchors {
        var all: [Certificate] = []
        for trust in listener.trust {
            switch trust {
            case .file(let path): all += try ListenerSection.Trust.authorities(in: path, for: .client)
            case .cluster:
                all += ClusterTrust().anchors(of: try stored())?.certificates ?? []
            }
        }
        let revocation = try listener.revocation.map { try self.revocation($0, issuers: all) }
        return try TrustAnchors(
            all, pinsIntermediates: all.contains { !$0.isSelfSigned }, revocation: revocation)
    }

    /// The cluster's authorities, the root among them.
    private func stored() throws -> TrustAnchors {
        let pem = try Files.read("\(state)/trust/current/anchors.pem", limit: Self.sizeLimit)
        return try TrustAnchors(pem: pem, pinsIntermediates: true)
    }

    private func revocation(_ wanted: RevocationConfiguration, issuers: [Certificate]) throws -> Revocation {
        var lists = try wanted.files.flatMap { try RevocationList.parse(contentsOf: $0, issuers: issuers) }
        guard wanted.usesCluster else { return Revocation(lists, wanted.rules) }
        let signers = try stored().certificates
        lists += try RevocationList.parse(
            contentsOf: RevocationStore(stateDirectory: state).path, issuers: signers)
        return Revocation(lists, wanted.rules, signers: signers)
    }
}

extension ExplainedTrust.Verdict {
    var text: String {
        switch self {
        case .trusted(let anchor): "verified under \(anchor)"
        case .refused(let reason): "refused: \(reason)"
        case .unknown(let reason): "unknown: \(reason)"
        }
    }

    var document: JSONValue {
        switch self {
        case .trusted(let anchor): ["result": "trusted", "under": .string(anchor)]
        case .refused(let reason): ["result": "refused", "reason": .string(reason)]
        case .unknown(let reason): ["result": "unknown", "reason": .string(reason)]
        }
    }
}
