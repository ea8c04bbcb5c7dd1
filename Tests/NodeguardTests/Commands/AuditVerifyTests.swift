import Audit
import Foundation
import Reports
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `The verb audit verify` {
    private let folder: TemporaryDirectory
    private static let witness = ConfigurationExample.text.split(separator: "\"").first { $0.contains("plane/") } ?? ""

    init() throws { folder = try TemporaryDirectory(prefix: "ng") }

    private func run(_ arguments: [String]) async throws -> Subprocess.Result {
        try await Subprocess(ProgramFixture.program, ["audit", "verify"] + arguments).waitForEnd(within: 30)
    }

    @Test func `needs neither a daemon nor a configuration, and ends with 2 when the log is broken`() async throws {
        let path = try folder.write("{}\n", to: "export")
        let text = try await run([path])
        #expect(text.status == 2 && text.output == "BROKEN: event 1 was changed: it has no number\n", "\(text)")
        let json = try await run([path, "--json"])
        let words = "{\"intact\":false,\"reason\":\"event 1 was changed: it has no number\"}\n"
        #expect(json.status == 2 && json.output == words, "\(json)")
    }

    @Test func `says what it cannot read`() async throws {
        let absent = try await run([folder.file("absent")])
        #expect(absent.status == 2 && absent.errors.contains("No such file or directory"), "\(absent)")
        let path = try folder.write("{}\n", to: "export")
        let keys = try folder.write("word\n", to: "keys")
        for key in [folder.file("none"), keys, Self.witness + "A", "a+b+c"] {
            let outcome = try await run([path, "--key", String(key)])
            #expect(outcome.status == 64 && outcome.errors.hasPrefix("--key "), "\(outcome)")
            #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome)")
        }
        #expect(try await run([path, "--key", String(Self.witness)]).status == 2)
    }

    @Test func `says which signatures hold and which were not checked`() {
        let all = AuditVerifier.Verdict.intact(events: 3, origin: "nodeguard/a/7", isSigned: true, isCosigned: true)
        #expect(
            AuditVerifyCommand.text(all) == "intact: 3 events of nodeguard/a/7; sequence and hash tree hold, "
                + "the node's signature holds, the plane's cosignature holds")
        let none = AuditVerifier.Verdict.intact(events: 3, origin: "nodeguard/a/7", isSigned: nil, isCosigned: nil)
        #expect(AuditVerifyCommand.text(none).contains("its signature was not checked (--key)"))
        #expect(
            AuditVerifyCommand.json(none).text
                == "{\"cosigned\":null,\"events\":3,\"intact\":true,\"origin\":\"nodeguard/a/7\",\"signed\":null}")
    }
}
