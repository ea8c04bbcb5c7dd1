import Reports
import Testing

@testable import nodeguard

@Suite struct `The list of certificates` {
    private let document: JSONValue = [
        "roles": [
            [
                "role": "database", "state": "active", "source": "plane", "subject": "CN=db-1,O=c",
                "names": ["db-1.example", "127.0.0.1", "spiffe://c/db-1"], "issuer": "CN=c intermediate",
                "serial": "0A:1B", "not_after": "1970-01-11T00:00:00Z", "next_renewal": "1970-01-05T00:00:00Z",
                "renewal_cause": "age",
                "publication": [
                    "directory": "/etc/postgresql/tls", "state": "served", "check": "127.0.0.1:5432", "by": "unit",
                ],
            ],
            [
                "role": "own", "state": "expired", "source": "files", "names": [], "serial": "0C",
                "not_after": "1969-12-31T00:00:00Z", "last_error": "the plane said no",
                "publication": ["directory": "/x", "state": "failed", "reason": "reload: x ended with exit status 1"],
            ],
            ["role": "new", "state": "enrolling", "source": "plane", "publication": ["directory": "/y"]],
        ],
        "listeners": [
            [
                "name": "ysql", "addresses": ["0.0.0.0:5433", "[::]:5433"],
                "certificates": [["serial": "0A:1B"], ["serial": "0C"]],
            ],
            ["name": "stale", "addresses": ["0.0.0.0:1"], "certificates": [["serial": "FF"]]],
        ],
        "tunnels": [["name": "out", "certificates": [["serial": "0A:1B"]]]],
    ]

    @Test func `says of each whom it names, until when it counts, what comes next and why, and who shows it`() {
        let text = CertificatesText(document, now: 0).text(width: 100)
        #expect(
            text == """
                database: active
                  subject    CN=db-1,O=c
                  names      db-1.example, 127.0.0.1, spiffe://c/db-1
                  issuer     CN=c intermediate
                  serial     0A:1B
                  expires    1970-01-11T00:00:00Z, in 10 d
                  renewal    1970-01-05T00:00:00Z, in 4 d: about two thirds of its life are over then
                  served by  ysql (0.0.0.0:5433, [::]:5433), out
                  published  /etc/postgresql/tls, served by 127.0.0.1:5432

                own: expired, in files
                  serial     0C
                  expires    1969-12-31T00:00:00Z, 24 h ago
                  renewal    by whoever brings the files
                  problem    the plane said no
                  served by  ysql (0.0.0.0:5433, [::]:5433)
                  published  /x, failed: reload: x ended with exit status 1

                new: enrolling
                  published  /y, waits for a certificate
                """)
    }

    @Test(arguments: ["age", "demand", "retry", "pending", "limit"])
    func `knows every cause of a renewal`(cause: String) {
        let role: JSONValue = [
            "role": "a", "next_renewal": "1970-01-05T00:00:00Z", "renewal_cause": .string(cause),
        ]
        let text = CertificatesText(["roles": [role]], now: 0).text(width: 200)
        #expect(text.contains("1970-01-05T00:00:00Z, in 4 d: "), "\(text)")
        let now: JSONValue = ["role": "a", "renewal_cause": .string(cause)]
        #expect(CertificatesText(["roles": [now]], now: 0).text(width: 200).contains("  renewal    at once: "))
    }

    @Test func `fits its width, and obeys nobody's control characters`() {
        let long = String(repeating: "name-of-a-host.example, ", count: 20)
        let role: JSONValue = ["role": "a", "names": .string(long), "subject": "CN=\u{1B}[31mred"]
        let text = CertificatesText(["roles": [role]], now: 0).text(width: 80)
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 } && !text.contains("\u{1B}"))
        #expect(CertificatesText([:], now: 0).text(width: 80) == "no certificate yet")
    }
}
