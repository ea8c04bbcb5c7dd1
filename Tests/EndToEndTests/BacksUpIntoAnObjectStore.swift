import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct `A backup in an object store` {
    @Test func `is put, listed, verified, read and deleted as in a folder`() async throws {
        let store = try await ObjectStore()
        let fleet = try await Fleet(
            backupTarget: """
                { name: bucket, url: "s3://\(ObjectStore.bucket)/fleet", endpoint: "\(store.endpoint)", \
                region: us-east-1, credentials: "file:\(store.credentialsPath)", checksums: aws, \
                acknowledge-plaintext: yes }
                """)
        let script = """
            head -c 50000000 /dev/urandom >\(fleet.folder)/base &&
            \(Program.nodeguard) backup put base --config \(fleet.configPath) <\(fleet.folder)/base &&
            \(Program.nodeguard) backup verify base --config \(fleet.configPath) &&
            \(Program.nodeguard) backup get base --config \(fleet.configPath) | cmp - \(fleet.folder)/base
            """
        let outcome = try Program.shell(script)
        #expect(outcome.status == 0, "\(outcome)\n\(fleet.agent.log)")
        #expect(try fleet.nodeguard(["backup", "list"]).output.contains("base"))
        #expect(try fleet.nodeguard(["status", "--json"]).output.contains("plain http"))
        let deleted = try fleet.nodeguard(["backup", "delete", "base"])
        #expect(deleted.status == 0, "\(deleted)")
        #expect(try !fleet.nodeguard(["backup", "list"]).output.contains("base"))
        #expect(!fleet.agent.log.contains(store.secretKey))
    }

    @Test func `does not exist when its producer fails`() async throws {
        let store = try await ObjectStore()
        let fleet = try await Fleet(
            backupTarget: """
                { name: bucket, url: "s3://\(ObjectStore.bucket)", endpoint: "\(store.endpoint)", region: us-east-1, \
                credentials: "file:\(store.credentialsPath)", acknowledge-plaintext: yes }
                """)
        let failing = try Program.run(
            Program.nodeguard,
            [
                "backup", "run", "--config", fleet.configPath, "half", "--", "/bin/sh", "-c",
                "head -c 40000000 /dev/zero; exit 3",
            ])
        #expect(failing.status == 2 && failing.errors.contains("the producer ended with status 3"), "\(failing)")
        #expect(try !fleet.nodeguard(["backup", "list"]).output.contains("half"))
    }
}
