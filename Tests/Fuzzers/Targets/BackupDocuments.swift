import FoundationEssentials
import Reports

@testable import Backups

extension FuzzTarget {
    /// The three documents of a backup, of which two can be written by whoever has the target.
    static let manifest = FuzzTarget("manifest") {
        let volume = #"{"crc32c":"00000000","frames":1,"length":300,"number":0,"plaintextLength":9,"tagsSHA256":"00"}"#
        let common = """
            "backup":"01890000-0000-7000-8000-000000000001","cluster":"a","completedAt":"2026-11-24T10:56:00Z",\
            "keyName":"k","name":"base","node":"db-1","startedAt":"2026-11-24T10:55:00Z"
            """
        return [
            """
            {\(common),"ciphertextLength":300,"compression":"none","frameLength":64,"frames":1,"plaintextLength":9,\
            "producer":{"status":0},"schema":"nodeguard.backup/1","version":"1","volumes":[\(volume)]}
            """,
            """
            {\(common),"objects":[{"crc32c":"00000000","length":300,"object":"v/000000.ngb"},\
            {"crc32c":"00000000","length":9,"object":"keys.json"}],"schema":"nodeguard.backup-public/1"}
            """,
            """
            {"backup":"01890000-0000-7000-8000-000000000001","schema":"nodeguard.backup-keys/1","wraps":\
            [{"kek":"1","key":"k","kind":"plane","wrapped":"AAEC"}]}
            """,
        ].map { Array($0.utf8) }
    } check: { input in
        if let manifest = try same(Manifest.self, input), manifest.contradiction == nil {
            try promise(manifest.plaintextLength >= 0 && manifest.frames >= 0, "a stream of less than nothing")
        }
        if let manifest = try same(PublicManifest.self, input), manifest.contradiction == nil {
            try promise(manifest.storedLength >= 0, "a backup of less than nothing")
        }
        _ = try same(KeyFile.self, input)
    }

    /// What a local client may ask over the stream socket.
    static let streamRequest = FuzzTarget("stream-request", longest: 1024) {
        [
            #"{"allowEmpty":false,"name":"base","target":"local","verb":"put"}"#,
            #"{"command":["pg_basebackup","-D","-"],"name":"base","verb":"put"}"#,
            #"{"name":"base@2026-11-24T10:56:00Z","verb":"get"}"#, #"{"level":3,"name":"base","verb":"verify"}"#,
            #"{"name":"01890000-0000-7000-8000-000000000001","verb":"delete"}"#, #"{"producer":{"status":1}}"#,
            #"{"ended":{"bytes":1}}"#, "ffffffff-ffff-7fff-8fff-ffffffffffff", "base@2026",
        ].map { Array($0.utf8) }
    } check: { input in
        if let request = try same(StreamRequest.self, input), let name = request.name { try select(name) }
        _ = try same(StreamNotice.self, input)
        _ = try same(StreamReply.self, input)
        try select(String(decoding: input, as: UTF8.self))
    }

    private static func select(_ text: String) throws(BrokenPromise) {
        switch BackupSelector(text) {
        case .newest(let name), .started(let name, _):
            try promise(
                name.text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }, "a name: \(name)")
        case .identified(let identifier):
            try promise(identifier.start.description.utf8.count >= 20, "a time: \(identifier.start)")
        case nil: break
        }
    }

    /// What was read, if it can be: written and read again it must be the same.
    private static func same<Value: Codable & Equatable>(_ type: Value.Type, _ input: [UInt8]) throws -> Value? {
        guard let value = try? JSONDocument.decode(type, from: input, "input") else { return nil }
        let again = try JSONDocument.decode(type, from: try JSONDocument.encode(value), "output")
        try promise(again == value, "\(value) is written as another: \(again)")
        return value
    }
}
