@testable import Proxy

extension FuzzTarget {
    /// What a server says, however it is cut: the same keys are learnt, and a message's end is where it is.
    static let postgresServer = FuzzTarget("postgres-server") {
        let key = message("K", [0, 0, 0, 1, 2, 3, 4, 5])
        let ready = message("Z", [UInt8(ascii: "I")])
        let greeting = message("R", [0, 0, 0, 0]) + message("S", Array("server_version\015\0".utf8))
        return [
            greeting + key + ready, key + key, message("K", [UInt8](repeating: 7, count: 260)), greeting + ready,
            message("K", []) + key, message("E", Array("SFATAL\0\0".utf8)),
        ]
    } check: { input in
        let whole = try learnt(from: [input[...]])
        let boundary = isBetweenMessages([input[...]])
        try promise(boundary == endsAMessage(input), "the end of a message was missed or made up")
        for cut in cuts(of: input) {
            let other = try learnt(from: cut)
            try promise(other == whole, "cut into \(cut.map(\.count)) it learns another key")
            try promise(isBetweenMessages(cut) == boundary, "cut into \(cut.map(\.count)) the message ends elsewhere")
        }
    }

    private struct Learnt: Equatable {
        var keys: [[UInt8]] = []
        var hasStopped = false
    }

    private static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        Array(String(type).utf8) + bigEndian(UInt32(4 + body.count)) + body
    }

    private static func learnt(from pieces: [ArraySlice<UInt8>]) throws(BrokenPromise) -> Learnt {
        var machine = BackendKeyStateMachine()
        var learnt = Learnt()
        for piece in pieces {
            var rest = piece
            while !rest.isEmpty {
                let (action, consumed) = machine.received(rest)
                try promise((1...rest.count).contains(consumed), "\(consumed) of \(rest.count) bytes were looked at")
                rest = rest.dropFirst(consumed)
                switch action {
                case .goOn: try promise(rest.isEmpty, "it goes on with bytes unseen")
                case .learn(let key):
                    try promise((8...260).contains(key.bytes.count), "a key of \(key.bytes.count) bytes")
                    learnt.keys.append(key.bytes)
                case .stop:
                    learnt.hasStopped = true
                    return learnt
                }
            }
        }
        return learnt
    }

    private static func isBetweenMessages(_ pieces: [ArraySlice<UInt8>]) -> Bool {
        var machine = MessageBoundaryStateMachine()
        for piece in pieces {
            var rest = piece
            while !rest.isEmpty {
                rest = rest.dropFirst(machine.skipped(upTo: rest.count))
                if let byte = rest.popFirst() { machine.saw(byte) }
            }
        }
        return machine.isBetweenMessages
    }

    /// The same by looking at all bytes at once.
    private static func endsAMessage(_ input: [UInt8]) -> Bool {
        var rest = input[...]
        while rest.count >= 5 {
            let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
            guard (4...(1 << 30)).contains(length), rest.count > length else { return false }
            rest = rest.dropFirst(1 + length)
        }
        return rest.isEmpty
    }
}
