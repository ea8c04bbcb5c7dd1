import IO
import Testing

@testable import Proxy

@Suite struct `The health of a backend` {
    private func seconds(_ count: Int) -> Duration { .seconds(count) }

    @Test func `is unknown at first, and up with the first answer or connection`() {
        var probed = BackendHealthStateMachine(at: .zero)
        #expect(probed.state == .unknown)
        probed.probeAnswered(at: seconds(3))
        #expect(probed.state == .up && probed.since == seconds(3))
        probed.probeAnswered(at: seconds(9))
        #expect(probed.since == seconds(3))
        var connected = BackendHealthStateMachine(at: .zero)
        connected.connected(at: seconds(1))
        #expect(connected.state == .up)
    }

    @Test func `is down after failures in a row, of whichever kind, and never after fewer`() {
        for kinds in 0..<8 {
            var health = BackendHealthStateMachine(at: .zero)
            for number in 0..<3 {
                #expect(health.state == .unknown)
                if kinds >> number & 1 == 0 {
                    health.failed("refused \(number)", at: seconds(number))
                } else {
                    health.probeFailed("refused \(number)", at: seconds(number))
                }
            }
            #expect(health.state == .down && health.since == seconds(2) && health.reason == "refused 2")
        }
        var broken = BackendHealthStateMachine(at: .zero)
        for number in 0..<9 {
            broken.failed("a", at: seconds(number))
            broken.failed("b", at: seconds(number))
            broken.connected(at: seconds(number))
            #expect(broken.state == .up)
        }
    }

    @Test func `comes back with a probe's answer and with nothing else`() {
        var health = BackendHealthStateMachine(at: .zero)
        for _ in 0..<5 { health.failed("a", at: .zero) }
        health.connected(at: seconds(4))
        #expect(health.state == .down && health.since == .zero)
        health.probeAnswered(at: seconds(5))
        #expect(health.state == .up && health.since == seconds(5) && health.reason == nil)
        health.failed("b", at: seconds(6))
        #expect(health.state == .up)
    }

    @Test func `is asked about often while it is down, however seldom otherwise`() {
        var health = BackendHealthStateMachine(at: .zero)
        func isDue(_ time: Int) -> Bool { health.probeIsDue(every: .seconds(3600), at: .seconds(time)) }
        #expect(isDue(0))
        health.probeAnswered(at: seconds(1))
        #expect(!isDue(600))
        for _ in 0..<3 { health.failed("a", at: seconds(600)) }
        #expect(health.state == .down)
        #expect(!isDue(604))
        #expect(isDue(605))
        health.probeFailed("a", at: seconds(606))
        #expect(!isDue(609))
        #expect(isDue(610))
        health.probeAnswered(at: seconds(611))
        #expect(isDue(615), "once more, as it was planned")
        health.probeAnswered(at: seconds(616))
        #expect(!isDue(4214))
        #expect(isDue(4215))
        var impatient = BackendHealthStateMachine(at: .zero)
        for _ in 0..<3 { impatient.failed("a", at: .zero) }
        var asked = [impatient.probeIsDue(every: .seconds(1), at: .zero)]
        impatient.probeFailed("a", at: .zero)
        asked.append(impatient.probeIsDue(every: .seconds(1), at: .seconds(1)))
        #expect(asked == [true, true])
    }

    @Test func `of addresses that stay is kept when others come and go`() {
        let addresses = (1...3).map { SocketAddress.ipv4([192, 0, 2, UInt8($0)], port: 1) }
        let health = BackendHealth(Array(addresses[..<2]), BackendHealthRules())
        for _ in 0..<3 { health.failed(addresses[0], "away") }
        health.connected(addresses[1])
        #expect(health.worthTrying == [addresses[1]])
        health.adopt([addresses[2], addresses[0]])
        #expect(health.findings.map(\.state) == [.unknown, .down])
        #expect(health.worthTrying == [addresses[2]])
        #expect(health.lastFailure == nil && health.hasConnected)
        health.failed(addresses[2], "away")
        #expect(health.lastFailure?.reason == "away")
        let unruled = BackendHealth([], nil)
        unruled.adopt(addresses)
        for _ in 0..<9 { unruled.failed(addresses[0], "away") }
        #expect(unruled.worthTrying == addresses, "without rules there is no breaker")
    }

    @Test func `is asked about at intervals, one probe at a time`() {
        var health = BackendHealthStateMachine(at: .zero)
        func isDue(_ time: Int) -> Bool { health.probeIsDue(every: .seconds(5), at: .seconds(time)) }
        var asked = [isDue(0), isDue(60)]
        health.probeFailed("a", at: seconds(60))
        asked.append(isDue(60))
        health.probeAnswered(at: seconds(61))
        asked += [isDue(64), isDue(65), isDue(65)]
        #expect(asked == [true, false, true, false, true, false])
    }
}

@Suite struct `The answer to a probe` {
    @Test func `of CQL is SUPPORTED, or an error about the version, whole`() {
        for opcode in UInt8.min...UInt8.max {
            let frame: [UInt8] = [0x84, 0, 0, 0, opcode, 0, 0, 0, 0]
            for cut in frame.indices {
                #expect(DatabaseProtocol.cassandra.verdict(onProbe: Array(frame[..<cut])) == .needsMore)
            }
            let isAlive = DatabaseProtocol.cassandra.verdict(onProbe: frame) == .alive
            #expect(isAlive == (opcode == 0x06 || opcode == 0))
        }
        #expect(DatabaseProtocol.cassandra.verdict(onProbe: [0x04]) == .wrong("the answer to OPTIONS is no CQL"))
    }

    @Test func `of Redis is PONG, or that a password is missing`() {
        for (text, expected) in [
            ("+PONG\r\n", ProbeVerdict.alive), ("-NOAUTH Authentication required.\r\n", .alive), ("+PO", .needsMore),
            ("", .needsMore), ("-NO", .needsMore), ("-LOADING x\r\n", .wrong("the answer to PING is '-LOADING x'")),
            ("HTTP/1.1 400", .wrong("the answer to PING is 'HTTP/1.1 400'")),
        ] {
            #expect(DatabaseProtocol.redis.verdict(onProbe: Array(text.utf8)) == expected)
        }
    }
}
