import Foundation
import PlaneAPI
import Testing

@Suite struct `A report` {
    private let digest = String(repeating: "0a", count: 32)

    private func report() -> ObservedState {
        ObservedState(
            version: "1", instance: String(repeating: "0", count: 32), boot: "b", generation: 1, time: 1,
            planeTrust: .init(bundle: digest, anchors: [digest]),
            certificates: [
                .init(role: "node", serial: "0A", issuer: "CN=x", issuerKey: nil, notAfter: 1, chain: [digest])
            ],
            listeners: [
                .init(
                    name: "ysql", isTunnel: false, roles: ["r"], trust: .init(bundle: digest, anchors: []),
                    served: digest, issuers: [.init(key: digest, peers: 1)], unknownCA: 0, refusingClients: 0,
                    unknownIssuers: 0)
            ],
            desired: .init(
                version: 3, hash: digest, results: [.init(resource: "deny", outcome: "applied")], refusal: nil))
    }

    @Test func `without a flaw has none, and is the same after JSON`() throws {
        #expect(report().flaw == nil)
        let text = try JSONEncoder.plane.encode(report())
        #expect(try JSONDecoder().decode(ObservedState.self, from: text) == report())
        #expect(String(decoding: text, as: UTF8.self).contains(#""unknown_ca":0"#))
    }

    @Test func `tells each thing that cannot be`() {
        let changes: [(String, (inout ObservedState) -> Void)] = [
            ("instance", { $0.instance = "0G" + String(repeating: "0", count: 30) }),
            ("instance", { $0.instance = String(repeating: "A", count: 32) }),
            ("generation", { $0.generation = 0 }), ("time", { $0.time = 0 }),
            ("version", { $0.version = "a\nb" }), ("boot", { $0.boot = String(repeating: "x", count: 1025) }),
            ("plane_trust", { $0.planeTrust?.bundle = "00" }), ("plane_trust", { $0.planeTrust?.anchors = ["x"] }),
            ("role", { $0.certificates[0].role = "a/b" }), ("chain", { $0.certificates[0].chain = ["x"] }),
            ("issuer_key", { $0.certificates[0].issuerKey = "x" }),
            ("serial", { $0.certificates[0].serial = "\u{7F}" }),
            ("ysql", { $0.listeners[0].roles = [".."] }), ("ysql", { $0.listeners[0].served = "x" }),
            ("ysql", { $0.listeners[0].issuers[0].key = "x" }), ("ysql", { $0.listeners[0].issuers[0].peers = -1 }),
            ("ysql", { $0.listeners[0].unknownCA = -1 }), ("ysql", { $0.listeners[0].refusingClients = -1 }),
            ("ysql", { $0.listeners[0].unknownIssuers = -1 }),
            ("trust", { $0.listeners[0].trust?.bundle = "" }), ("name", { $0.listeners[0].name = "" }),
            ("desired", { $0.desired?.version = -1 }), ("desired", { $0.desired?.hash = "x" }),
            ("desired", { $0.desired?.results[0].detail = "\u{1}" }),
            ("desired", { $0.desired?.refusal = .init(reason: "\n", detail: "") }),
            ("256", { $0.listeners = Array(repeating: $0.listeners[0], count: 257) }),
        ]
        for (index, (word, change)) in changes.enumerated() {
            var changed = report()
            change(&changed)
            #expect(changed.flaw?.contains(word) == true, "change \(index): \(changed.flaw ?? "no flaw")")
        }
    }
}
