import Testing

@testable import Proxy

@Suite struct `A StartupMessage` {
    private func message(_ body: String) -> StartupMessage? {
        StartupMessage(packet: bigEndian(UInt32(8 + body.utf8.count)) + bigEndian(196_608) + Array(body.utf8))
    }

    @Test func `names the user's own database when it names none`() {
        #expect(message("user\0shop\0\0")?.database == Array("shop".utf8))
        #expect(message("user\0shop\0database\0orders\0\0")?.database == Array("orders".utf8))
        #expect(message("user\0shop\0database\0\0\0")?.database == Array("shop".utf8))
        #expect(message("application_name\0x\0\0")?.user == nil)
    }

    @Test func `asks for replication unless it says no`() {
        // As parse_bool_with_len reads them; what it cannot read counts as the most that it could mean.
        for value in ["true", "on", "1", "t", "TRU", "y", "Yes", "o", "", "2", "Database", "databas", "nope", "offf"] {
            #expect(message("replication\0\(value)\0\0")?.replication == .physical, "\(value)")
        }
        for value in ["false", "off", "no", "0", "f", "F", "fal", "n", "of", "OFF", "False"] {
            #expect(message("replication\0\(value)\0\0")?.replication == PostgresReplication.none, "\(value)")
        }
        #expect(message("replication\0database\0\0")?.replication == .logical)
        #expect(message("user\0a\0database\0b\0replication\0database\0\0")?.session.database == [0x62])
        #expect(message("user\0a\0replication\0no\0replication\0yes\0\0") == nil)
        #expect(message("user\0a\0\0")?.isReplication == false)
    }

    @Test func `keeps protocol options and unknown settings as they came`() {
        let body = "user\0a\0_pq_.command_tag_format\0x\0options\0-c a=b\0\0"
        #expect(message(body)?.packet.suffix(body.utf8.count) == Array(body.utf8)[...])
    }

    @Test func `never shows a cancel key`() {
        #expect("\(CancelKey(bytes: [1, 2, 3]))" == "secret")
    }
}

@Suite struct `A server's greeting` {
    private func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        Array(String(type).utf8) + bigEndian(UInt32(body.count + 4)) + body
    }

    private func watch(_ pieces: [[UInt8]]) -> (keys: [CancelKey], stopped: Bool) {
        var machine = BackendKeyStateMachine()
        var keys: [CancelKey] = []
        for piece in pieces {
            var rest = piece[...]
            while !rest.isEmpty {
                let (action, consumed) = machine.received(rest)
                rest = rest.dropFirst(consumed)
                if case .learn(let key) = action { keys.append(key) }
                if action == .stop { return (keys, true) }
                if action == .goOn { #expect(rest.isEmpty) }
            }
        }
        return (keys, false)
    }

    @Test func `gives away the session's key, at every cut of its bytes`() {
        let greeting =
            message("R", [0, 0, 0, 0]) + message("S", Array("a\0b\0".utf8)) + message("K", [0, 0, 1, 2, 9, 8, 7, 6])
            + message("Z", [73])
        for cut in 0...greeting.count {
            let (keys, stopped) = watch([Array(greeting[..<cut]), Array(greeting[cut...])])
            #expect(keys == [CancelKey(bytes: [0, 0, 1, 2, 9, 8, 7, 6])])
            #expect(stopped)
        }
        #expect(watch(greeting.map { [$0] }).keys.count == 1)
    }

    @Test func `may have a long key or none`() {
        let long = [UInt8](repeating: 5, count: 260)
        #expect(watch([message("K", long) + message("Z", [73])]).keys == [CancelKey(bytes: long)])
        for count in [0, 4, 7, 261] {
            #expect(watch([message("K", [UInt8](repeating: 5, count: count)) + message("Z", [73])]).keys == [])
        }
    }

    @Test func `is watched no longer than it is one`() {
        #expect(watch([message("R", []) + [0x45, 0, 0, 0, 3]]).stopped)
        #expect(watch([[0x45, 0xFF, 0xFF, 0xFF, 0xFF]]).stopped)
        let chatter = [[UInt8]](repeating: message("N", [UInt8](repeating: 1, count: 60_000)), count: 20)
        #expect(watch(chatter).stopped)
    }
}
