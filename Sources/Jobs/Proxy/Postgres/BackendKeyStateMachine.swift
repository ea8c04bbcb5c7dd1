/// Watches the first messages of a PostgreSQL server for BackendKeyData, which identifies the session in a
/// CancelRequest.
///
/// Owned by one relayed connection, fed with copies until the first ReadyForQuery; holds at most one key.
struct BackendKeyStateMachine {
    enum Action: Equatable {
        case goOn
        case learn(CancelKey)
        /// The session is established, or the server does not speak the protocol: watching is over.
        case stop
    }

    private static let longestKey = 4 + 256
    /// What a server may say before its first ReadyForQuery; far above any real greeting.
    private static let longestGreeting = 1 << 20

    private var header: [UInt8] = []
    private var remaining = 0
    private var key: [UInt8]?
    private var seen = 0
    private var isDone = false

    /// Returns what to do and how many of the bytes were looked at; call again with the rest unless told to stop.
    mutating func received(_ bytes: ArraySlice<UInt8>) -> (action: Action, consumed: Int) {
        precondition(!isDone)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if header.count < 5 {
                header.append(bytes[index])
                index += 1
                guard header.count == 5 else { continue }
                guard beganMessage() else { return stop(index - bytes.startIndex) }
            } else {
                let taken = min(remaining, bytes.endIndex - index)
                if key != nil { key?.append(contentsOf: bytes[index..<index + taken]) }
                remaining -= taken
                index += taken
            }
            if remaining == 0, header.count == 5, let learnt = endedMessage() {
                return (.learn(learnt), index - bytes.startIndex)
            }
        }
        seen += bytes.count
        return seen > Self.longestGreeting ? stop(bytes.count) : (.goOn, bytes.count)
    }

    /// `false` when watching is over.
    private mutating func beganMessage() -> Bool {
        let length = header[1...].reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, length <= 1 << 30, header[0] != UInt8(ascii: "Z") else { return false }
        remaining = length - 4
        // A key of no bytes is what a server without cancellation says (protocol 3.2): there is nothing to learn.
        if header[0] == UInt8(ascii: "K"), (8...Self.longestKey).contains(remaining) { key = [] }
        return true
    }

    private mutating func endedMessage() -> CancelKey? {
        header.removeAll(keepingCapacity: true)
        defer { key = nil }
        return key.map(CancelKey.init(bytes:))
    }

    private mutating func stop(_ consumed: Int) -> (Action, Int) {
        isDone = true
        return (.stop, consumed)
    }
}
