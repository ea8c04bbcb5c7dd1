import Foundation
import IO
import Reports
import Testing

@testable import Audit
@testable import Proxy

private let takesItsTime = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"

/// A day of strangers who are refused, in simulated time: what the proxy reports of it, in the form in which the spool
/// stores it, a row for each second.
@Suite struct `A flood of a day` {
    private typealias Machine = RefusalGroupsStateMachine<ProxyReports.Group>
    private static let day = 86_400
    private static let limit: Int64 = 100 << 20
    /// More would change nothing: from here on each of them is counted alone.
    private static let refusalsPerSecond = 8
    private static let longestDetail = String(repeating: "d", count: 256)

    private let renderer = EventRenderer(
        AuditPlace(node: "database-node-0001.example.com", cluster: "production-1", epoch: 1_700_000_000_000),
        boot: "0c4b1fd1-3c3f-4a3e-9d0e-2e3b5a8d6f10")

    @Test(.enabled(if: takesItsTime), arguments: [1, 3, 200, 1 << 24])
    func `takes less than 100 MiB of the spool, from however many prefixes it comes`(prefixes: Int) {
        let usage = usage(ofSeconds: Self.day, prefixes)
        #expect(usage < Self.limit, "\(usage) bytes")
    }

    /// What may be told of at once is told of at its beginning, so that this is its most expensive part.
    @Test(arguments: [1, 200, 1 << 24])
    func `takes no more than its share of that in its first half hour`(prefixes: Int) {
        let seconds = 1800
        let usage = usage(ofSeconds: seconds, prefixes)
        let events = Int64(Machine.eventsAtOnce)
        #expect(usage < Self.limit * (Int64(seconds) + events) / (Int64(Self.day) + events), "\(usage) bytes")
    }

    private func usage(ofSeconds duration: Int, _ prefixes: Int) -> Int64 {
        var machine = Machine()
        var usage: Int64 = 0
        var told = 0
        for second in 0..<duration {
            var events: [AuditEvent] = []
            for index in 0..<Self.refusalsPerSecond {
                let number = (second * Self.refusalsPerSecond + index) &* 7919 % prefixes
                let group = group(number, second &+ index)
                let time = Duration.seconds(second) + .milliseconds(index * 100)
                if machine.refused(group, at: time) == .report { events.append(first(of: group)) }
            }
            for sum in machine.ticked(at: .milliseconds(second * 1000 + 999)) {
                events.append(ProxyReports.event(of: sum, label: ("listener", "yugabytedb-ysql")))
            }
            told += events.count
            var run = SpoolRun(first: Int64(told) + 1)
            for event in events { _ = run.append(event, renderer) }
            usage += run.usage
        }
        #expect(told >= duration / 100 && told <= duration + Machine.eventsAtOnce)
        return usage
    }

    private func group(_ prefix: Int, _ reason: Int) -> ProxyReports.Group {
        let address: [UInt8] = [
            0x20, 0x01, 0x0d, UInt8(truncatingIfNeeded: prefix >> 16), UInt8(truncatingIfNeeded: prefix >> 8),
            UInt8(truncatingIfNeeded: prefix),
        ]
        return ProxyReports.Group(
            listener: 0, reason: [.plaintext, .unknownIssuer, .tlsGarbage][reason % 3],
            prefix: PeerNetwork(exactly: .ipv6(address + [UInt8](repeating: 1, count: 10), port: 1)).prefix)
    }

    /// As `ProxyReports` tells of one alone.
    private func first(of group: ProxyReports.Group) -> AuditEvent {
        AuditEvent(
            .connectionRefused, .refused,
            fields: [
                "listener": "yugabytedb-ysql", "peer.address": "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535",
                "reason": .string(group.reason.rawValue), "detail": .string(Self.longestDetail),
            ])
    }
}
