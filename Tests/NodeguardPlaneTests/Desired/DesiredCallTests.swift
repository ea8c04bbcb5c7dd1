import Foundation
import IO
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `What is desired of nodes` {
    let plane: RunningPlane
    let node: TestNode

    init() throws {
        plane = try RunningPlane()
        node = try TestNode.enrolled(plane, "db-1")
    }

    private func set(_ text: String, _ more: String...) throws -> String {
        let file = plane.folder + "/desired.json"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return try Shell.succeed(
            [RunningPlane.program, "desired", "set", file, "--cluster", "alpha", "--state", plane.state] + more
        ).line
    }

    private func ask(_ node: TestNode? = nil, _ more: String...) throws -> RunningPlane.Answer {
        try plane.call("GET", DesiredState.path, as: node ?? self.node, more)
    }

    private func tag(_ answer: RunningPlane.Answer) throws -> String {
        let line = answer.headers.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("etag: ") }
        return String(try #require(line).dropFirst("etag: ".count))
    }

    private func payload(_ answer: RunningPlane.Answer) throws -> DesiredState {
        try #require(answer.status == 200, "\(answer.text)")
        let envelope = try SignedEnvelope(reading: Array(answer.body))
        #expect(envelope.payloadType == DesiredState.payloadType)
        return try DesiredState(reading: envelope.payload)
    }

    @Test func `is nothing at first, then what was set, under versions that go up`() throws {
        let first = try ask()
        #expect(first.status == 204 && first.body.isEmpty)
        #expect(try set(#"{"deny":[{"dns":"x"}]}"#).hasPrefix("version 1 is desired of all nodes of alpha: 1 denied"))
        let state = try payload(ask())
        #expect(state.cluster == "alpha" && state.node == nil && state.version == 1 && state.except.isEmpty)
        #expect(state.content.deny.map(\.line) == ["dns x"])
        #expect(state.expiresAt - state.issuedAt == DesiredStates.lifetime)
        _ = try set("{}", "--expires", "1h")
        let second = try payload(ask())
        #expect(second.version == 2 && second.content == DesiredContent() && second.expiresAt - second.issuedAt == 3600)
    }

    /// By a codec that shares nothing with ours.
    @Test func `is signed by a key that the root has delegated it to`() throws {
        _ = try set(#"{"deny":[{"dns":"x"}]}"#)
        let body = try ask().body
        try body.write(to: URL(fileURLWithPath: plane.folder + "/envelope.json"))
        let script = """
            import base64, json, sys
            from cryptography import x509
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric import ec
            envelope = json.load(open(sys.argv[1] + '/envelope.json'))
            root = x509.load_pem_x509_certificate(open(sys.argv[1] + '/root.pem', 'rb').read())
            one = envelope['signatures'][0]
            certificate = x509.load_der_x509_certificate(base64.b64decode(one['certificate']))
            kind, body = envelope['payloadType'].encode(), base64.b64decode(envelope['payload'])
            pae = b'DSSEv1 %d %s %d %s' % (len(kind), kind, len(body), body)
            certificate.public_key().verify(base64.b64decode(one['sig']), pae, ec.ECDSA(hashes.SHA256()))
            root.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes,
                ec.ECDSA(certificate.signature_hash_algorithm))
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            print(usage.critical, [oid.dotted_string for oid in usage.value], certificate.issuer == root.subject,
                [a.value for a in certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)])
            """
        let told = try Shell.succeed(["python3", "-c", script, plane.folder]).line
        #expect(told == "True ['\(DesiredState.keyUsage)'] True ['alpha']")
        let files = try Files.list(plane.state + "/authorities").filter { $0.hasPrefix("configuration-alpha-") }
        #expect(files.count == 1)
        #expect(try Files.mode(plane.state + "/authorities/" + (files.first ?? "")) & 0o777 == 0o600)
    }

    @Test func `is not said again to who knows it, and waits for news`() throws {
        _ = try set("{}")
        let known = try tag(ask())
        #expect(try ask(nil, "-H", "If-None-Match: \(known)").status == 304)
        let began = ContinuousClock.now
        let setting = try ChildProcess(
            RunningPlane.program,
            ["desired", "set", plane.folder + "/desired.json", "--cluster", "alpha", "--state", plane.state],
            output: FileHandle.nullDevice.fileDescriptor, errors: FileHandle.nullDevice.fileDescriptor)
        let answer = try ask(nil, "-H", "If-None-Match: \(known)", "-H", "Prefer: wait=15")
        setting.wait()
        #expect(try payload(answer).version == 2)
        #expect(ContinuousClock.now - began < .seconds(14))
        #expect(answer.headers.lowercased().contains("preference-applied: wait=15"))
        let none = try TestNode.enrolled(plane, cluster: "beta", "db-9")
        let (first, tagOfNone) = (try ask(none), try tag(ask(none)))
        #expect(first.status == 204)
        #expect(try ask(none, "-H", "If-None-Match: \(tagOfNone)", "-H", "Prefer: wait=1").status == 304)
    }

    @Test func `of one node is joined with that of its cluster, and goes to nobody else`() throws {
        let other = try TestNode.enrolled(plane, "db-2")
        _ = try set(#"{"deny":[{"dns":"all"}]}"#)
        _ = try set(#"{"deny":[{"dns":"own"}]}"#, "--node", "db-1")
        let (own, common) = (try payload(ask()), try payload(ask(other)))
        #expect(own.node == "db-1" && own.version == 2 && own.content.deny.map(\.value) == ["all", "own"])
        #expect(common.node == nil && common.version == 2 && common.except == ["db-1"])
        #expect(common.content.deny.map(\.value) == ["all"])
        try plane.verb("desired", "clear", "--cluster", "alpha", "--node", "db-1")
        let (cleared, others) = (try payload(ask()), try payload(ask(other)))
        #expect(cleared == others && cleared.version == 3 && cleared.except == [])
        _ = try plane.failingVerb("desired", "clear", "--cluster", "alpha", "--node", "db-1")
    }

    @Test func `of a node that is removed is forgotten, so that one of its name gets the cluster's`() throws {
        _ = try set(#"{"deny":[{"dns":"own"}]}"#, "--node", "db-1")
        try plane.verb("node", "remove", "db-1", "--cluster", "alpha")
        let again = try TestNode.enrolled(plane, "db-1")
        #expect(try payload(ask(again)).node == nil)
    }

    @Test func `changes its key on demand: a later certificate, and everything signed anew`() throws {
        _ = try set("{}")
        let before = try SignedEnvelope(reading: Array(ask().body))
        try plane.verb("desired", "rotate-key", "--cluster", "alpha")
        let after = try SignedEnvelope(reading: Array(ask().body))
        #expect(before.certificate != after.certificate && before.keyID != after.keyID)
        #expect(try DesiredState(reading: after.payload).version == 2)
    }

    @Test(arguments: [
        ("nonsense", ":1:1: this is no JSON value"), (#"{"dney":[]}"#, "unknown member 'dney'"),
        (#"{"deny":[{"uri":"a"},"#, "ends too early"),
    ]) func `is refused with its place, and nothing is changed`(text: String, word: String) throws {
        _ = try set("{}")
        let file = plane.folder + "/wrong.json"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let output = try plane.failingVerb("desired", "set", file, "--cluster", "alpha")
        #expect(output.standardError.contains(file) && output.standardError.contains(word), "\(output.standardError)")
        #expect(try payload(ask()).version == 1)
        _ = try plane.failingVerb("desired", "set", plane.folder + "/desired.json", "--cluster", "gamma")
        _ = try plane.failingVerb(
            "desired", "set", plane.folder + "/desired.json", "--cluster", "alpha", "--node", "nobody")
        _ = try plane.failingVerb("desired", "set", plane.folder + "/missing", "--cluster", "alpha")
        #expect(try payload(ask()).version == 1)
    }

    @Test func `is shown with what nodes have made of it, and stands in the plane's log`() throws {
        _ = try set(#"{"deny":[{"dns":"x"}]}"#)
        let report = ObservedState(
            version: "1.0.0", instance: String(repeating: "a", count: 32), boot: "", generation: 1, time: 1,
            desired: .init(
                version: 0, hash: nil, results: [],
                refusal: .init(reason: "not-applicable", detail: "listeners.ysql.deny[0]: x")))
        #expect(
            try plane.call("PUT", ObservedState.path, body: JSONEncoder.plane.encode(report), as: node).status == 204)
        let shown = try plane.verb("desired", "show", "--cluster", "alpha")
        #expect(shown.contains("version 1") && shown.contains("refused: not-applicable"), "\(shown)")
        let document = try plane.verb("desired", "show", "--cluster", "alpha", "--json")
        #expect(document.contains(#""*":{"deny":[{"dns":"x"}]}"#), "\(document)")
        #expect(try plane.verb("nodes").contains("0 of 1, not-applicable"))
        let events = try plane.verb("audit", "tail", "--plane", "-n", "1000", "--json")
        for name in ["desired.key", "desired.set"] { #expect(events.contains("\"name\":\"\(name)\""), "\(name)") }
        #expect(try plane.verb("audit", "verify", "--plane").hasPrefix("intact: "))
    }
}

@Suite struct `Signed desired states` {
    /// The example of DSSE's protocol.md.
    @Test func `are signed over DSSE's encoding`() {
        let bytes = ConfigurationKey.authenticated(
            type: "http://example.com/HelloWorld", payload: Array("hello world".utf8))
        #expect(String(decoding: bytes, as: UTF8.self) == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
    }

    @Test func `are renewed by the plane in half of their time, each time under a higher version`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "desired-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = try PlaneState.open(folder, creating: true)
        let now = UnixTime.now
        try state.database.write { database in
            try state.createCluster("alpha", now: now, database)
            _ = try DesiredStates.set(
                DesiredContent(), node: nil, of: "alpha", lifetime: 1000, state, now: now, database)
            #expect(try DesiredStates.due(now: now + 499, database) == [])
            #expect(try DesiredStates.due(now: now + 500, database) == ["alpha"])
            // Its key is gone, and it comes first.
            try state.createCluster("aaa", now: now, database)
            _ = try DesiredStates.set(DesiredContent(), node: nil, of: "aaa", lifetime: 1000, state, now: now, database)
            let lost = try #require(try ConfigurationKey.known(of: "aaa", database)?.place)
            guard case .file(let name) = lost else { return #expect(Bool(false), "the key is no file") }
            try FileManager.default.removeItem(atPath: state.keys.file(name))
        }
        let failures = try DesiredStates.renewDue(state, now: now + 500)
        #expect(failures.map(\.cluster) == ["aaa"] && "\(failures)".contains("is missing"), "\(failures)")
        try state.database.write { database in
            #expect(try DesiredStates.version(of: "alpha", database) == 2)
            #expect(try DesiredStates.version(of: "aaa", database) == 1)
            #expect(try DesiredStates.due(now: now + 501, database) == ["aaa"])
            let signed = try #require(try DesiredStates.signed(for: "x", of: "alpha", database))
            let renewed = try DesiredState(reading: SignedEnvelope(reading: signed.envelope).payload)
            #expect(renewed.issuedAt == now + 500 && renewed.expiresAt == now + 1500)
            let key = try ConfigurationKey.current(of: "alpha", state, by: .plane, now: now, database)
            let later = try ConfigurationKey.current(
                of: "alpha", state, by: .plane, now: now + ConfigurationKey.lifetime / 2 + 1, database)
            #expect(key.certificate != later.certificate)
        }
    }
}
