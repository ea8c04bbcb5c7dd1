import Reports
import Testing

@testable import nodeguard

@Suite struct `The status page` {
    private let now: Int64 = 1_800_000_000

    private func document(state: String, _ extra: [String: JSONValue] = [:]) -> JSONValue {
        var members: [String: JSONValue] = [
            "schema": "nodeguard.status/1", "state": .string(state), "node": "db-1", "cluster": "cluster-a",
            "version": "0.1.0", "uptime_seconds": 7384, "reasons": [], "conditions": [],
            "lanes": [
                ["label": "data-0", "load": .number(0.034), "lag_seconds": .number(0.0004), "jobs": 12345],
                ["label": "handshake-0", "load": .number(0), "lag_seconds": .number(19.5), "jobs": 1],
            ],
            "proxy": [
                "listeners": [
                    [
                        "name": "ysql", "addresses": ["0.0.0.0:5433", "[::]:5433"], "protocol": "postgres",
                        "backend": ["127.0.0.1:5432"],
                        "state": "open", "open": 3, "accepted": 120, "refused": ["policy": 4, "plaintext": 1],
                    ]
                ]
            ],
            "certificates": [
                "roles": [
                    [
                        "role": "database", "subject": "CN=db-1", "serial": "0A:1B", "state": "active",
                        "not_after": "2027-01-20T08:00:00Z", "next_renewal": "2027-01-16T08:00:00Z",
                    ]
                ]
            ],
            "audit": ["next_seq": 17, "spooled_events": 0, "spooled_bytes": 0, "lost": 0, "dropped": 0],
            "backups": [
                "targets": [["name": "local", "url": "file:///var/backups"]],
                "last_success": ["base": "2027-01-15T05:00:00Z"],
                "streams": [
                    [
                        "verb": "put", "name": "base", "target": "local", "bytes": 5_242_880,
                        "bytes_per_second": 1_048_576,
                    ]
                ],
            ],
        ]
        members.merge(extra) { $1 }
        return .object(members)
    }

    private func page(_ document: JSONValue, isColoured: Bool = false) -> String {
        StatusText(document: document, now: now, isColoured: isColoured).render()
    }

    @Test func `begins with the state, and shows each job and each lane`() {
        #expect(
            page(document(state: "ready")) == """
                ready: db-1 of cluster-a, up 2 h 3 min, nodeguard 0.1.0

                Listeners
                  NAME  ADDRESS       PROTOCOL  BACKEND         STATE  OPEN  TOTAL  REFUSED
                  ysql  0.0.0.0:5433  postgres  127.0.0.1:5432  open      3    120        5
                        [::]:5433

                Certificates
                  ROLE      SUBJECT  STATE   EXPIRES IN  RENEWS IN  SERIAL
                  database  CN=db-1  active  5 d         24 h       0A:1B

                Backups
                  TARGET  WHERE
                  local   file:///var/backups
                  NAME  LAST SUCCESS
                  base  3 h ago
                  RUNNING  NAME  TARGET  BYTES     RATE
                  put      base  local   5 MiB  1 MiB/s

                Audit
                  every event has arrived; next number 17

                Lanes and queues
                  LANE OR QUEUE  LOAD   LAG   JOBS
                  data-0           3%  0 ms  12345
                  handshake-0      0%  19 s      1

                """)
    }

    @Test func `shows the plane's CRLs, how long they count, and how long ago the plane has answered`() {
        let list: JSONValue = [
            "issuer": "CN=alpha", "number": "1800000000", "this_update": "2027-01-15T07:00:00Z",
            "next_update": "2027-01-20T08:00:00Z", "revoked": 12,
        ]
        let other: JSONValue = [
            "issuer": "CN=root", "number": .null, "next_update": "2027-01-15T07:00:00Z", "revoked": 0,
        ]
        let section: JSONValue = ["cluster": "alpha", "fetched": "2027-01-15T07:59:30Z", "lists": [list, other]]
        let text = page(document(state: "ready", ["revocation": section]))
        #expect(
            text.contains(
                """

                CRLs of the cluster
                  ISSUER        NUMBER  REVOKED  ENDS IN
                  CN=alpha  1800000000       12  5 d
                  CN=root                     0  60 min ago
                  the plane has answered 30 s ago

                """), "\(text)")
        let empty = page(document(state: "ready", ["revocation": ["fetched": .null, "lists": []]]))
        #expect(
            empty.contains("CRLs of the cluster\n  none yet\n  the plane has not answered yet\n"), "\(empty)")
    }

    @Test func `shows many lanes in two columns`() {
        let lanes = (0..<9).map { number -> JSONValue in
            [
                "label": .string("backups-stream-\(number)"), "load": .number(0.1), "lag_seconds": .number(0.012),
                "jobs": .integer(123_456 * Int64(number)),
            ]
        }
        let lines = page(document(state: "ready", ["lanes": .array(lanes)])).split(separator: "\n")
        let shown = lines[(lines.firstIndex(of: "Lanes and queues") ?? 0)...]
        #expect(shown.count == 7 && shown.allSatisfy { $0.count <= 80 }, "\(shown)")
        for number in 0..<9 { #expect(shown.contains { $0.contains("backups-stream-\(number) ") }, "\(shown)") }
    }

    @Test func `is coloured on a terminal that wants it`() {
        #expect(Console.isColoured(isTerminal: true, ["TERM": "xterm", "NO_COLOR": ""]))
        #expect(!Console.isColoured(isTerminal: false, ["TERM": "xterm"]))
        #expect(!Console.isColoured(isTerminal: true, ["TERM": "xterm", "NO_COLOR": "1"]))
        #expect(!Console.isColoured(isTerminal: true, ["TERM": "dumb"]))
    }

    @Test func `shows tunnels with where they lead, and whether that is there`() {
        let tunnels: JSONValue = [
            [
                "name": "peer", "addresses": ["127.0.0.1:19100", "unix:/run/peer"], "remote": "db-2:9100",
                "health": "down", "state": "waiting-for-certificate", "open": 1, "accepted": 20,
                "refused": ["remote-down": 2, "remote-refused": 1],
            ]
        ]
        let text = page(document(state: "ready", ["proxy": ["tunnels": tunnels]]))
        #expect(
            text.contains(
                """
                Tunnels
                  NAME  ADDRESS          REMOTE     HEALTH  STATE    OPEN  TOTAL  REFUSED
                  peer  127.0.0.1:19100  db-2:9100  down    waiting     1     20        3
                        unix:/run/peer
                """), "\(text)")
    }

    @Test func `tells what is wrong before all else, for how long, and what to do`() {
        let text = page(
            document(
                state: "degraded",
                [
                    "reasons": [
                        [
                            "code": "PLANE_UNREACHABLE", "severity": "warn", "subject": "plane",
                            "since": "2027-01-15T07:30:00Z", "detail": "connect to 10.0.0.1:8443: Connection refused",
                            "action": "check the management plane and the way to it",
                        ]
                    ]
                ]))
        #expect(
            text.hasPrefix(
                """
                degraded: db-1 of cluster-a, up 2 h 3 min, nodeguard 0.1.0

                warn   PLANE_UNREACHABLE (plane), for 30 min
                       connect to 10.0.0.1:8443: Connection refused
                       do: check the management plane and the way to it

                Listeners
                """))
    }

    @Test func `says how many are banned, if anybody is`() {
        func proxy(_ bans: Int) -> [String: JSONValue] {
            ["proxy": ["listeners": [["name": "ysql", "state": "open"]], "bans": .count(bans)]]
        }
        let text = page(document(state: "ready", proxy(1234)))
        #expect(text.contains("\n  addresses that are refused for a while: 1234 (nodeguard bans)\n"), "\(text)")
        #expect(!page(document(state: "ready", proxy(0))).contains("refused for a while"))
    }

    @Test func `says what a starting node waits for`() {
        let text = page(
            document(
                state: "starting",
                ["conditions": [["name": "certificates", "met": false, "detail": "the first enrolment is under way"]]]))
        #expect(text.contains("\n  waits for certificates: the first enrolment is under way\n"))
    }

    @Test(arguments: ["starting", "ready", "degraded", "draining", "failed", "unknown"], [false, true])
    func `fits 80 columns in every state, however long the words are`(state: String, isColoured: Bool) {
        let long = JSONValue.string(String(repeating: "a very long text ", count: 30))
        let word = JSONValue.string(String(repeating: "x", count: 300))
        let listener: JSONValue = [
            "name": word, "addresses": [word, word], "protocol": word, "backend": word, "state": word, "open": 10_000,
            "accepted": 123_456_789_012, "refused": 123_456_789_012,
        ]
        let tunnel: JSONValue = [
            "name": word, "addresses": [word, word], "remote": word, "health": word, "state": word, "open": 10_000,
            "accepted": 123_456_789_012, "refused": 123_456_789_012,
        ]
        let text = page(
            document(
                state: state,
                [
                    "node": word,
                    "reasons": [
                        ["code": word, "severity": "error", "subject": word, "detail": long, "action": word],
                        ["code": "A", "severity": "info", "detail": word, "action": long],
                    ], "conditions": [["name": word, "met": false, "detail": long]],
                    "proxy": ["listeners": .array(Array(repeating: listener, count: 3)), "tunnels": [tunnel, tunnel]],
                    "certificates": [
                        ["role": word, "subject": word, "state": word, "serial": word, "not_after": word]
                    ],
                    "backups": [
                        "targets": [["name": word, "url": word]], "last_success": [["name": word, "at": word]],
                        "streams": [["verb": word, "name": word, "bytes": 1]],
                    ], "audit": ["spooled_events": 123_456_789, "last_error": long, "lost": 3, "dropped": ["a": 1]],
                    "lanes": [["label": word, "load": .number(1), "lag_seconds": .number(1e6), "jobs": 1]],
                ]), isColoured: isColoured)
        for line in text.split(separator: "\n") {
            let plain = line.replacing(/\u{1B}\[\d+m/, with: "")
            #expect(plain.count <= 80, "\(plain.count): \(plain)")
        }
        #expect(text.contains("\u{1B}[") == isColoured)
    }

    @Test func `is there for an empty document too`() {
        #expect(page([:]) == "unknown: this node\n")
        #expect(page(.array([])) == "unknown: this node\n")
    }

    @Test func `gives a terminal nothing to obey`() {
        let evil: JSONValue = "CN=\u{1B}[2Jx\r\n\u{202E}y\u{9B}1m"
        let text = page(
            document(state: "ready", ["node": evil, "certificates": [["role": "a", "subject": evil]]]))
        #expect(
            !text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || $0.value == 0x9B || $0.value == 0x202E })
        #expect(text.contains("CN=?[2Jx???y?1m"))
    }
}
