import Testing

@testable import Proxy

@Suite struct `What precedes TLS to a database` {
    private static let request: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]

    @Test func `is nothing where the protocol begins with TLS, and in clear`() {
        var secured = BackendPreambleStateMachine(.directTLS, header: [])
        #expect(secured.connected() == .startTLS)
        var clear = BackendPreambleStateMachine(.clear, header: [])
        #expect(clear.connected() == .open)
    }

    @Test func `begins with the header, whatever follows`() {
        let expected: [BackendPreambleStateMachine.Way: BackendPreambleStateMachine.Action] = [
            .clear: .open, .directTLS: .startTLS, .askingForTLS: .send(Self.request),
        ]
        for (way, action) in expected {
            var preamble = BackendPreambleStateMachine(way, header: [1, 2, 3])
            #expect(preamble.connected() == .send([1, 2, 3]))
            #expect(preamble.sent() == action)
        }
    }

    @Test func `is one question to PostgreSQL, and 'S' alone leads on`() {
        for answer in UInt8.min...UInt8.max {
            var preamble = BackendPreambleStateMachine(.askingForTLS, header: [])
            #expect(preamble.connected() == .send(Self.request))
            #expect(preamble.sent() == .readOne)
            let action = preamble.received(answer)
            if answer == UInt8(ascii: "S") {
                #expect(action == .startTLS)
            } else if case .fail(let reason) = action {
                #expect(reason.hasPrefix("the database "))
            } else {
                Issue.record("\(answer): \(action)")
            }
        }
    }

    @Test func `fails when the answer is the end`() {
        var preamble = BackendPreambleStateMachine(.askingForTLS, header: [])
        _ = preamble.connected()
        _ = preamble.sent()
        let action = preamble.ended()
        #expect(action == .fail("the database closed the connection instead of answering SSLRequest"))
    }
}
