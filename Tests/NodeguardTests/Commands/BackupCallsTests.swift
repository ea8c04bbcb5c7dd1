import Backups
import Foundation
import Reports
import Testing

@testable import nodeguard

@Suite struct `The backup verbs` {
    private func outcome(_ members: String) throws -> BackupOutcome {
        let json = "{\"bytes\":0,\"storedBytes\":0,\"volumes\":0,\"seconds\":0}"
        return try JSONDecoder().decode(
            BackupOutcome.self, from: Data((members.isEmpty ? json : members).utf8))
    }

    @Test func `tell what came of it in one line`() throws {
        let outcome = try outcome(
            """
            {"backup":"0190-id","name":"base","target":"local","bytes":10485760,"storedBytes":11534336,"volumes":1,
            "seconds":2}
            """)
        #expect(
            BackupCalls.text("backed up", outcome)
                == "backed up base (0190-id) at local: 10 MiB, stored 11 MiB, 2.0 s, 5 MiB/s")
        #expect(BackupCalls.text("deleted", try self.outcome("")) == "deleted")
        #expect(BackupCalls.json(outcome).text.contains("\"stored_bytes\":11534336"))
    }

    @Test func `tell a daemon that is away from a backup that failed`() {
        #expect(BackupCalls.failure(BackupError(.unreachable, "x")).status == .unreachable)
        let denied = BackupError(.unreachable, "connect to unix:/s: Permission denied; is nodeguard running?")
        #expect(BackupCalls.failure(denied).status == .notAllowed)
        for kind in [BackupError.Kind.corrupt, .notFound, .refused, .key, .producer, .consumer, .target] {
            #expect(BackupCalls.failure(BackupError(kind, "x\u{1B}")) == VerbFailure(.failed, "x?"))
        }
    }

    @Test func `show how far a stream is`() {
        #expect(BackupProgress.line(5 << 20, 6 << 20, 2) == "5 MiB, stored 6 MiB, 2 s, 2.5 MiB/s")
        #expect(BackupProgress.line(0, 0, 0) == "0 B, stored 0 B, 0 s")
    }
}
