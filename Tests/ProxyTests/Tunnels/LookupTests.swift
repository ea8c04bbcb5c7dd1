import Foundation
import IO
import Synchronization
import TestSupport
import Testing

@testable import Proxy

@Suite struct `The lookup of a remote host` {
    private func seconds(_ count: Int) -> Duration { .seconds(count) }

    @Test func `serves all that come while it runs, and a moment after it`() {
        var machine = LookupStateMachine()
        #expect(machine.asked(at: seconds(5)) == .begin)
        for time in [5, 6, 60, 600] { #expect(machine.asked(at: seconds(time)) == .wait) }
        machine.ended(at: seconds(600))
        #expect(machine.asked(at: seconds(600)) == .proceed)
        #expect(machine.asked(at: .milliseconds(600_999)) == .proceed)
        #expect(machine.asked(at: seconds(601)) == .begin)
        #expect(machine.asked(at: seconds(601)) == .wait)
    }

    @Test func `is due for probes when none has ended lately`() {
        var machine = LookupStateMachine()
        #expect(machine.isDue(every: seconds(5), at: .zero))
        _ = machine.asked(at: .zero)
        #expect(!machine.isDue(every: seconds(5), at: seconds(60)))
        machine.ended(at: seconds(60))
        #expect(!machine.isDue(every: seconds(5), at: seconds(64)))
        #expect(machine.isDue(every: seconds(5), at: seconds(65)))
    }

    private final class Names: Sendable {
        private let answers: Mutex<[Result<[SocketAddress], IOError>]>
        private let questions = Mutex<[String]>([])
        let found = Mutex<[[SocketAddress]]>([])
        let gate = DispatchSemaphore(value: 0)

        init(_ answers: [Result<[SocketAddress], IOError>]) { self.answers = Mutex(answers) }

        var asked: [String] { questions.withLock { $0 } }

        func resolve(_ name: String) throws(IOError) -> [SocketAddress] {
            gate.wait()
            questions.withLock { $0.append(name) }
            return try answers.withLock { $0.removeFirst() }.get()
        }

        func lookup() -> RemoteLookup {
            RemoteLookup("db.example:1", label: "test", resolve: { name throws(IOError) in try self.resolve(name) }) {
                addresses in
                self.found.withLock { $0.append(addresses) }
            }
        }
    }

    @Test func `is one for a burst, and what it has found counts on when the next one fails`() async {
        let first = [SocketAddress.ipv4([192, 0, 2, 1], port: 1)]
        let names = Names([
            .success(first), .failure(IOError("resolve db.example", code: ENOENT, words: "no such name")),
        ])
        let lookup = names.lookup()
        let answered = Notes()
        for _ in 0..<100 { lookup.ask { answered.add("") } }
        #expect(answered.all.isEmpty && names.asked.isEmpty)
        names.gate.signal()
        #expect(await eventually(within: 5) { answered.all.count == 100 })
        #expect(names.asked == ["db.example:1"])
        #expect(names.found.withLock { $0 } == [first] && lookup.failure == nil)
        names.gate.signal()
        let isAskedAgain = await eventually(within: 20) {
            lookup.ask { answered.add("") }
            return names.asked.count == 2
        }
        #expect(isAskedAgain)
        #expect(await eventually(within: 5) { lookup.failure?.contains("no such name") == true })
        #expect(names.found.withLock { $0 } == [first])
    }
}

@Suite struct `A PostgreSQL client at a tunnel's port` {
    private typealias Machine = PostgresPreambleStateMachine
    private static let ssl: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
    private static let gss: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30]
    private static let cancel: [UInt8] = [0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 1, 0, 0, 0, 2]

    /// Bytes that the client is answered with, and the last action; it says `pieces`, one after the other.
    private func converse(_ pieces: [[UInt8]]) -> (answers: [UInt8], last: Machine.Action) {
        var machine = Machine(.tunnel)
        var action = machine.firstAction
        var answers: [UInt8] = []
        var rest = pieces[...]
        while true {
            switch action {
            case .read(let limit):
                guard let piece = rest.popFirst() else { return (answers, action) }
                #expect(piece.count <= limit)
                action = machine.received(piece)
            case .answer(let byte):
                answers.append(byte)
                action = machine.answered()
            default: return (answers, action)
            }
        }
    }

    @Test func `hears 'N' whatever encryption it asks for, and goes on in clear`() throws {
        let hello = startup()
        let message = try #require(StartupMessage(packet: hello))
        let n = UInt8(ascii: "N")
        for (asked, answers) in [
            ([], []), ([Self.ssl], [n]), ([Self.gss], [n]), ([Self.ssl, Self.gss], [n, n]),
            ([Self.gss, Self.ssl], [n, n]),
        ] as [([[UInt8]], [UInt8])] {
            let outcome = converse(asked + [hello + [1, 2, 3]])
            #expect(outcome.answers == answers)
            #expect(outcome.last == .admit(message, rest: [1, 2, 3]))
            // In one go, and byte by byte.
            let all = asked.flatMap(\.self) + hello
            #expect(converse([all]).last == .admit(message, rest: []))
            let single = converse(all.map { [$0] })
            #expect(single.last == .admit(message, rest: []) && single.answers == answers)
        }
    }

    @Test func `may cancel, and may not ask again and again or speak something else`() {
        #expect(converse([Self.ssl, Self.cancel]).last == .cancel(CancelRequest(packet: Self.cancel)))
        #expect(converse([Self.ssl, Self.ssl]).last == .close(.repeatedRequest))
        #expect(converse([Self.gss, Self.gss]).last == .close(.repeatedRequest))
        // A ClientHello, and HTTP.
        #expect(converse([[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01]]).last == .close(.malformedPreamble))
        #expect(converse([Array("GET / HTTP/1.1\r\n".utf8)]).last == .close(.malformedPreamble))
        var machine = Machine(.tunnel)
        #expect(machine.ended() == .close(.probe))
    }
}
