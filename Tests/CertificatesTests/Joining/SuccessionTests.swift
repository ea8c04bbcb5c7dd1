import Foundation
import OpenSSL
import TestSupport
import Testing

@testable import Certificates

/// Two roots of one name and their words for each other, and two clusters' authorities under each, by OpenSSL's tools.
private struct Roots {
    let old: Certificate
    let new: Certificate
    let newWithOld: Certificate
    let oldWithNew: Certificate
    let oldIssuer: Certificate
    let newIssuer: Certificate
    let newIssuerOfBeta: Certificate
    let authority: TestAuthority
    let newRoot: TestIdentity

    init() throws {
        let authority = try TestAuthority()
        let newRoot = try authority.issue(
            name: "Test Root", organization: "nodeguard tests", usage: [], isAuthority: true, by: .itself)
        func issuer(_ cluster: String, _ name: String, by root: TestIdentity) throws -> Certificate {
            try authority.issue(
                name: name, organization: "nodeguard", organizationalUnit: cluster, usage: [], isAuthority: true,
                pathLength: 0, by: .identity(root)
            ).certificate()
        }
        (self.authority, self.newRoot) = (authority, newRoot)
        old = try authority.root.certificate()
        new = try newRoot.certificate()
        newWithOld = try Self.cross(of: newRoot, by: authority.root)
        oldWithNew = try Self.cross(of: authority.root, by: newRoot)
        oldIssuer = try issuer("alpha", "old issuer", by: authority.root)
        newIssuer = try issuer("alpha", "new issuer", by: newRoot)
        newIssuerOfBeta = try issuer("beta", "new issuer of beta", by: newRoot)
    }

    static func cross(of root: TestIdentity, by other: TestIdentity) throws -> Certificate {
        let base = root.certificatePath.replacing("/certificate.pem", with: "/\(UUID().uuidString)")
        let extensions = """
            basicConstraints=critical,CA:TRUE,pathlen:1
            keyUsage=critical,keyCertSign,cRLSign
            subjectKeyIdentifier=hash
            authorityKeyIdentifier=keyid
            """
        try extensions.write(toFile: base + ".ext", atomically: true, encoding: .utf8)
        let name = root.certificatePath.replacing("/certificate.pem", with: "/request.pem")
        try Subprocess.check(
            "openssl",
            [
                "x509", "-req", "-in", name, "-CA", other.certificatePath, "-CAkey", other.keyPath, "-set_serial",
                String(Int.random(in: 1...Int.max)), "-days", "30", "-extfile", base + ".ext", "-out", base + ".pem",
            ])
        return try Certificate.parsePEM(Array(try Data(contentsOf: URL(fileURLWithPath: base + ".pem"))))[0]
    }

    var oldPin: String { PlaneTrust.pin(of: old) }
    var newPin: String { PlaneTrust.pin(of: new) }
    var trusting: [Certificate] { [old, new, newWithOld, oldWithNew, oldIssuer, newIssuer] }
    var dropped: [Certificate] { [new, newWithOld, newIssuer] }
}

@Suite struct `The succession of roots` {
    private var now: Int64 { TestClock.seconds }

    private func next(
        _ roots: Roots, of current: [Certificate], pins: [String]? = nil, offered: [Certificate]
    ) -> Succession {
        Succession(of: current, pins: pins ?? [roots.oldPin], offered: offered, now: now)
    }

    @Test func `takes a root that the pinned one vouches for, and the cluster's authority under it`() throws {
        let roots = try Roots()
        let next = next(roots, of: [roots.old, roots.oldIssuer], offered: roots.trusting)
        #expect(Set(next.anchors) == [roots.old, roots.new, roots.oldIssuer, roots.newIssuer])
        #expect(next.pins == [roots.oldPin, roots.newPin])
        #expect(Set(next.crossCertificates) == [roots.newWithOld, roots.oldWithNew])
    }

    @Test func `takes none on the plane's word alone, nor by a stranger's`() throws {
        let roots = try Roots()
        let stranger = try TestAuthority()
        let strange = try Roots.cross(of: roots.newRoot, by: stranger.root)
        let before = [roots.old, roots.oldIssuer]
        for offered in [
            [roots.old, roots.new, roots.newIssuer], [roots.old, roots.new, strange, roots.newIssuer],
            [roots.old, roots.new, roots.oldWithNew, roots.newIssuer],
            [roots.old, roots.newWithOld, roots.newIssuer], [], [roots.new, roots.newIssuer],
        ] {
            let next = next(roots, of: before, offered: offered)
            #expect(Set(next.anchors) == Set(before) && next.pins == [roots.oldPin], "\(offered)")
        }
        let expired = Succession(
            of: before, pins: [roots.oldPin], offered: roots.trusting, now: roots.newWithOld.notAfter)
        #expect(!expired.anchors.contains(roots.new))
    }

    @Test func `never takes another cluster's authority, nor a word for a root as one`() throws {
        let roots = try Roots()
        let next = next(
            roots, of: [roots.old, roots.oldIssuer], offered: roots.trusting + [roots.newIssuerOfBeta])
        #expect(!next.anchors.contains(roots.newIssuerOfBeta))
        #expect(next.anchors.allSatisfy { !$0.isSelfIssued })
        let chain = [roots.newIssuer, roots.newWithOld]
        #expect(!PlaneTrust.extended([roots.old], verifiedChain: chain, now: now).contains(roots.newWithOld))
    }

    @Test func `gives up a root only for another that it has vouched for`() throws {
        let roots = try Roots()
        let both = next(roots, of: [roots.old, roots.oldIssuer], offered: roots.trusting)
        let dropped = next(roots, of: both.anchors, pins: both.pins, offered: roots.dropped)
        #expect(Set(dropped.anchors) == [roots.new, roots.newIssuer])
        #expect(dropped.pins == [roots.newPin] && dropped.crossCertificates.isEmpty)
        let withoutWord = next(roots, of: both.anchors, pins: both.pins, offered: [roots.new, roots.newIssuer])
        #expect(withoutWord.anchors.contains(roots.old))
        let otherWord = next(
            roots, of: both.anchors, pins: both.pins, offered: [roots.new, roots.oldWithNew, roots.newIssuer])
        #expect(otherWord.anchors.contains(roots.old), "the new one's word for the old one is none for itself")
        let nothing = next(roots, of: both.anchors, pins: both.pins, offered: [])
        #expect(Set(nothing.anchors) == Set(both.anchors))
    }

    @Test func `takes the dropped root back by the new one's word, and withdraws the new one`() throws {
        let roots = try Roots()
        let after = [roots.new, roots.newIssuer]
        let back = next(roots, of: after, pins: [roots.newPin], offered: roots.trusting)
        #expect(Set(back.anchors) == [roots.old, roots.new, roots.oldIssuer, roots.newIssuer])
        let withdrawn = next(
            roots, of: back.anchors, pins: back.pins, offered: [roots.old, roots.oldWithNew, roots.oldIssuer])
        #expect(Set(withdrawn.anchors) == [roots.old, roots.oldIssuer] && withdrawn.pins == [roots.oldPin])
    }

    @Test func `goes from the old root to the new one in one step, for who was away meanwhile`() throws {
        let roots = try Roots()
        let next = next(roots, of: [roots.old, roots.oldIssuer], offered: roots.dropped)
        #expect(Set(next.anchors) == [roots.new, roots.newIssuer] && next.pins == [roots.newPin])
    }

    @Test func `shows chains that a client with the old root alone verifies, and one with the new root alone`() throws {
        let roots = try Roots()
        let leaf = try roots.authority.issue(name: "shop", usage: [.server], by: .identity(roots.newRoot)).certificate()
        let chain = Succession.shown([leaf], [roots.oldWithNew, roots.newWithOld])
        #expect(chain == [leaf, roots.newWithOld])
        #expect(Succession.shown(chain, [roots.newWithOld]) == chain && Succession.shown([leaf], []) == [leaf])
        for root in [roots.old, roots.new] {
            let verdict = try TrustAnchors([root]).verify(
                leaf: leaf, intermediates: Array(chain.dropFirst()), purpose: .server, at: now)
            guard case .trusted = verdict else {
                Issue.record("\(verdict)")
                continue
            }
        }
    }
}
