import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `The verbs` {
    @Test func `work beside a running plane, all at once`() async throws {
        let plane = try RunningPlane()
        let program = RunningPlane.program
        let state = plane.state
        let outputs = try await withThrowingTaskGroup(of: Shell.Output.self) { group in
            for index in 0..<8 {
                group.addTask {
                    try Shell.run([
                        program, "token", "create", "--cluster", "alpha", "--node", "db-\(index)", "--state", state,
                    ])
                }
                group.addTask { try Shell.run([program, "cluster", "create", "c\(index)", "--state", state]) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outputs.allSatisfy { $0.status == 0 }, "\(outputs.map(\.standardError))")
        // plane.begin, the two clusters of the fixture, and these.
        #expect(try plane.verb("audit", "verify", "--plane").hasPrefix("intact: 19 events in the plane's own log"))
        #expect(try plane.verb("cluster", "list").split(separator: "\n").count == 11)
        #expect(try plane.verb("nodes").split(separator: "\n").count == 9)
        let late = try TestNode.enrolled(plane, cluster: "c7", "db-1")
        #expect(try plane.call("POST", Keys.path, body: Data(#"{"backup":"b"}"#.utf8), as: late).status == 200)
    }

    @Test func `print a bundle that holds the running plane's address, the pin and a token`() throws {
        let plane = try RunningPlane()
        let bundle = try plane.bundle(node: "db-1")
        #expect(bundle.url == plane.url && bundle.cluster == "alpha" && bundle.node == "db-1")
        #expect(bundle.pins == [try plane.verb("trust", "--out", plane.folder + "/again.pem")])
        let other = try JoinBundle(
            text: plane.verb(
                "token", "create", "--cluster", "alpha", "--node", "db-1", "--url", "https://plane.example:1"))
        #expect(other.url == "https://plane.example:1" && other.token != bundle.token)
    }

    @Test func `make client certificates that applications can use as they are`() throws {
        let plane = try RunningPlane()
        let out = plane.folder + "/shop"
        try plane.verb("client-certificate", "--cluster", "alpha", "--name", "shop", "--days", "2", "--out", out)
        try Shell.succeed(
            [
                "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.crt", "-untrusted",
                "client.crt", "client.crt",
            ], in: out)
        let text = try Shell.succeed(["openssl", "x509", "-in", "client.crt", "-noout", "-text"], in: out).text
        #expect(text.contains("URI:spiffe://alpha/app/shop") && text.contains("TLS Web Client Authentication"))
        #expect(!text.contains("TLS Web Server"))
        let mode = try FileManager.default.attributesOfItem(atPath: out + "/client.key")[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test(arguments: [
        (["cluster", "create", "a.b"], "letters, digits"),
        (["cluster", "create", "alpha"], "exists"),
        (["token", "create", "--cluster", "gamma", "--node", "x"], "there is no cluster gamma"),
        (["token", "create", "--cluster", "alpha", "--node", "a b"], "letters, digits"),
        (["token", "create", "--cluster", "alpha", "--node", "x", "--url", "http://x"], "https://"),
        (["token", "create", "--cluster", "alpha", "--node", "x", "--ttl", "soon"], "--ttl"),
        (["role", "allow", "--cluster", "alpha", "--node", "x", "--role", "r", "--ip", "1.2.3"], "no IP address"),
        (["role", "allow", "--cluster", "alpha", "--node", "x", "--role", "r", "--usage", "ca"], "neither server nor"),
        (
            ["role", "allow", "--cluster", "alpha", "--node", "x", "--role", "r", "--lifetime", "1"],
            "at least 5 seconds"
        ),
        (["client-certificate", "--cluster", "gamma", "--name", "x", "--out", "/tmp"], "there is no cluster gamma"),
        (["run", "--listen", "8443"], "ADDR:PORT"),
    ])
    func `say in a line what is wrong`(words: [String], expected: String) throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let output = try Shell.run([RunningPlane.program] + words + ["--state", plane.state])
        #expect(output.status != 0 && output.standardError.contains(expected), "\(output.standardError)")
    }

    @Test func `make nothing where there is no plane`() throws {
        let folder = NSTemporaryDirectory() + "no-plane-\(UUID().uuidString)"
        let output = try Shell.run([RunningPlane.program, "nodes", "--state", folder])
        #expect(output.status == 1 && output.standardError.contains("holds no plane"))
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test func `list what was allowed`() throws {
        let plane = try RunningPlane()
        try plane.verb(
            "role", "allow", "--cluster", "alpha", "--node", "db-1", "--role", "database", "--dns", "db-1.example",
            "--ip",
            "2001:db8::1", "--usage", "server", "--days", "7")
        let list = try plane.verb("role", "list")
        #expect(list.contains("alpha    db-1  database  server  7d        db-1.example 2001:db8::1"), "\(list)")
    }

    @Test func `read spans of time`() {
        #expect(TimeSpan(argument: "90s")?.seconds == 90 && TimeSpan(argument: "30d")?.seconds == 2_592_000)
        for text in ["", "h", "1", "-1h", "1w", "1.5h", "99999999d"] { #expect(TimeSpan(argument: text) == nil) }
    }
}
