import Foundation
import Testing

@testable import nodeguard_plane

@Suite struct `The server` {
    @Test(arguments: [
        ("127.0.0.1:8443", "127.0.0.1", 8443), ("[::1]:0", "::1", 0), ("plane.example:443", "plane.example", 443),
    ])
    func `listens where it is told`(text: String, host: String, port: Int) throws {
        let address = try #require(ListenAddress(text))
        #expect(address.host == host && address.port == port)
    }

    @Test(arguments: ["", "8443", ":8443", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "[x]:80"])
    func `refuses other addresses`(text: String) { #expect(ListenAddress(text) == nil) }

    @Test(arguments: [
        ("127.0.0.1", "7f000001", "127.0.0.1"), ("::", "00000000000000000000000000000000", "::"),
        ("::1", "00000000000000000000000000000001", "::1"),
        ("2001:DB8::8:0:0:1", "20010db8000000000008000000000001", "2001:db8::8:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"),
        ("::ffff:10.1.2.3", "00000000000000000000ffff0a010203", "::ffff:a01:203"),
        ("fe80::", "fe800000000000000000000000000000", "fe80::"),
    ])
    func `knows addresses as certificates carry them`(text: String, hex: String, canonical: String) throws {
        let address = try #require(NetworkAddress(text))
        #expect(Hex.lower(address.bytes) == hex && address.description == canonical)
        #expect(NetworkAddress(canonical) == address)
    }

    @Test(arguments: ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::1::", "1:2:3", "g::", "localhost", "fe80::1%lo"])
    func `knows what is no address`(text: String) { #expect(NetworkAddress(text) == nil) }

    @Test func `shows a certificate of its own root for its address, localhost and its names`() throws {
        let plane = try RunningPlane()
        let port = try #require(plane.url.split(separator: ":").last)
        let folder = plane.folder
        for name in ["localhost", "127.0.0.1"] {
            let check = name == "localhost" ? "-verify_hostname" : "-verify_ip"
            let output = try Shell.run([
                "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", folder + "/root.pem", check, name,
                "-verify_return_error", "-x509_strict",
            ])
            #expect(output.text.contains("Verify return code: 0 (ok)"), "\(name): \(output.standardError)")
        }
        let old = try Shell.run(["openssl", "s_client", "-tls1_1", "-connect", "127.0.0.1:\(port)"])
        #expect(old.status != 0)
    }

    @Test func `renews its own certificate and trusts a new cluster without a restart`() throws {
        let folder = NSTemporaryDirectory() + "plane-credentials-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = try TestStore.makeState(folder)
        let now = UnixTime.now
        let credentials = try ServerCredentials(state: state, dns: ["localhost"], addresses: [], now: now)
        let first = credentials.context
        try credentials.refresh(now: now + ServerCredentials.lifetime * 2 / 3 - 1)
        #expect(credentials.context === first)
        try credentials.refresh(now: now + ServerCredentials.lifetime * 2 / 3)
        let second = credentials.context
        #expect(second !== first)
        try state.database.write { try state.createCluster("alpha", now: now, $0) }
        try credentials.refreshIfGrown(now: now)
        let third = credentials.context
        #expect(third !== second)
        try credentials.refreshIfGrown(now: now)
        #expect(credentials.context === third)
    }

    /// What the plane trusts in TLS is looked up once a second; none of these may wait for that.
    @Test(arguments: 1...4) func `knows a node of a cluster that was just made`(number: Int) throws {
        let plane = try RunningPlane(clusters: [])
        try plane.verb("cluster", "create", "alpha")
        let node = try TestNode.enrolled(plane, "db-1")
        let answer = try plane.call("GET", "/v1/audit/witness", as: node)
        #expect(answer.status == 200, "\(number): \(answer.text) \(plane.log)")
    }

    @Test func `survives garbage, and answers the next caller`() throws {
        let plane = try RunningPlane()
        let port = try #require(plane.url.split(separator: ":").last)
        for garbage in ["GET / HTTP/1.1\\r\\n\\r\\n", "\\026\\003\\001\\377\\377", "\\000"] {
            _ = try Shell.run(["bash", "-c", "printf '\(garbage)' > /dev/tcp/127.0.0.1/\(port)"])
        }
        let long = "X-Long: " + String(repeating: "x", count: 40_000)
        let wide = try plane.call("GET", "/.well-known/est/alpha/cacerts", ["-H", long])
        #expect(wide.status != 200)
        #expect(try plane.call("GET", "/nothing").status == 404)
        #expect(try plane.call("GET", "/.well-known/est/alpha/cacerts").status == 200)
    }

    @Test func `answers 503 with Retry-After when its store fails, never a half answer`() throws {
        let plane = try RunningPlane()
        let node = try TestNode.enrolled(plane, "db-1")
        try TestStore.change(plane.state, "ALTER TABLE keys RENAME TO elsewhere")
        let answer = try plane.call("POST", "/v1/keys", body: Data(#"{"backup":"b"}"#.utf8), as: node)
        #expect(answer.status == 503 && answer.headers.lowercased().contains("retry-after: 5"))
        #expect(answer.reason == "unavailable")
    }
}
