@testable import Proxy

extension FuzzTarget {
    /// An answer to a request that came in part is the answer to all of it, and is whole.
    static let refusedRequest = FuzzTarget("refused-request", longest: 64) {
        [[4, 0, 0, 1, 1, 0, 0, 0, 0], [5, 0, 1, 0, 5], [2, 0, 9, 1], Array("*1\r\n$4\r\nPING\r\n".utf8), [0xFF], []]
    } check: { input in
        let refusals: [Refusal] = [
            .notAllowed("no rule names it"), .tooManyConnections("per-identity rate of CN=x: 1/s"), .backendDown,
            .postgres(.violation(String(decoding: input, as: UTF8.self))),
        ]
        for databaseProtocol in DatabaseProtocol.allCases {
            for refusal in refusals { try check(databaseProtocol, refusal, input) }
        }
    }

    private static func check(
        _ databaseProtocol: DatabaseProtocol, _ refusal: Refusal, _ input: [UInt8]
    ) throws(BrokenPromise) {
        var earlier = RefusalAnswer.needsMore
        for count in 0...input.count {
            let answer = databaseProtocol.refusal(refusal, to: Array(input.prefix(count)))
            try promise(earlier == .needsMore || answer == earlier, "another answer after \(count) bytes")
            earlier = answer
        }
        guard case .say(let bytes) = earlier else { return }
        try promise(bytes.count <= 4096, "an answer of \(bytes.count) bytes")
        switch databaseProtocol {
        case .cassandra:
            let header = bytes[0] & 0x7F < 3 ? 8 : 9
            let length = bytes[(header - 4)..<header].reduce(0) { $0 << 8 | Int($1) }
            try promise(bytes.count == header + length, "a frame of \(bytes.count) bytes says \(length)")
        case .postgres:
            let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
            try promise(bytes.count == 1 + length, "a message of \(bytes.count) bytes says \(length)")
        case .redis, .tcp: break
        }
    }
}
