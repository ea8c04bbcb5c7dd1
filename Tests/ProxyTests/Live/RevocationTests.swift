import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// What an authority or an operator takes back counts at once.
    @Suite(.timeLimit(.minutes(4))) struct `A listener that looks up who is revoked` {
        private let folder: TemporaryDirectory
        private let backend: TestBackend
        /// The same holder, with another certificate.
        private static let other = Result {
            try Stage.authority.get().issue(name: "shop", uris: ["spiffe://c/app/shop"])
        }

        init() throws {
            folder = try temporaryDirectory()
            backend = try Self.server()
            try folder.write("", to: "denied")
            try put("root", by: Stage.authority.get().root)
            try put("crl")
        }

        private func put(
            _ name: String, by issuer: TestIdentity? = nil, _ change: (inout TestRevocationList) -> Void = { _ in }
        ) throws {
            let list = try Stage.authority.get().revocationList(by: issuer, change)
            try Files.write(list, to: folder.file(name), mode: 0o600)
        }

        private func deny(_ text: String) throws {
            try Files.write(Array(text.utf8), to: folder.file("denied"), mode: 0o600)
        }

        /// Greets with a cancel key; notes a CancelRequest.
        private static func server() throws -> TestBackend {
            let key: [UInt8] = [UInt8(ascii: "K"), 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2]
            return try TestBackend { socket, backend in
                // A thousand sessions take their time to come.
                socket.waitsForLong()
                let first = try socket.receive()
                if first.count == 16, first[4...7] == [0x04, 0xD2, 0x16, 0x2E] { return backend.note(first) }
                try socket.send(key + `A live session`.greeting)
                while true {
                    let bytes = try socket.receive()
                    if bytes.isEmpty { return }
                    try socket.send(bytes)
                }
            }
        }

        private static let cancel: [UInt8] = [0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 1, 0, 0, 0, 2]

        private func stage(_ rules: RevocationRules = RevocationRules()) throws -> Stage {
            var limits = ProxyLimits()
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            limits.handshakesPerSecond = 100_000
            return try Stage(
                [
                    try Stage.listener(.postgres, backend: [backend.address]) {
                        $0.policy = AccessPolicy(allow: [try AccessRule([.commonName: ["shop", "intern"]])])
                        $0.revocation = RevocationConfiguration(
                            files: [folder.file("root"), folder.file("crl")], rules: rules)
                        $0.denyLists = [folder.file("denied")]
                    }
                ], limits: limits)
        }

        private func session(_ stage: Stage, _ identity: TestIdentity) throws -> TestClient {
            let client = try TestClient(stage.port, as: identity, .sslRequest)
            try client.send(startup())
            #expect(try client.take(`A live session`.greeting.count + 13).first == UInt8(ascii: "K"))
            return client
        }

        private func isAlive(_ client: TestClient) throws -> Bool {
            try client.send("Q")
            return try client.receive(count: 1) == [UInt8(ascii: "Q")]
        }

        private func fields(_ client: TestClient) throws -> [Character: String] {
            // Until a list ends.
            client.socket.waitsForLong()
            return `A PostgreSQL port`.errorFields(try client.receiveAll())
        }

        @Test func `cuts a live session when its certificate is revoked, and no other`() async throws {
            let stage = try stage()
            let shop = try session(stage, Stage.client.get())
            let intern = try session(stage, Stage.intern.get())
            try put("crl") {
                $0.number = 2
                $0.revoked = [try? Stage.intern.get()].compactMap(\.self)
            }
            let last = try fields(intern)
            #expect(last["C"] == "57P01" && last["M"]?.contains("revoked") == true, "\(last)")
            #expect(try isAlive(shop))
            let isTold = await eventually(within: 20) {
                stage.events.named(.connectionClosed).first?.fields["reason"] == "revoked"
            }
            #expect(isTold)
            #expect(throws: (any Error).self) { try session(stage, Stage.intern.get()) }
            #expect(await eventually(within: 20) { stage.refused(.revoked) == 1 })
            #expect(try isAlive(shop))
            let adopted = stage.events.named(.revocationListAdopted)
            #expect(adopted.count == 3 && adopted.allSatisfy { $0.outcome == .success })
            #expect(
                stage.metrics.openMetricsText.contains(#"nodeguard_crl_next_update_timestamp_seconds{listener="db""#))
            let document = stage.health.snapshot.sections["proxy"]?.text ?? ""
            #expect(document.contains(#""freshness":"strict""#) && document.contains(#""number":"2""#), "\(document)")
            await stage.proxy.stop()
        }

        @Test func `cuts a live session when its intermediate is revoked`() async throws {
            let stage = try stage()
            let shop = try session(stage, Stage.client.get())
            try put("root", by: Stage.authority.get().root) {
                $0.number = 2
                $0.revoked = [try? Stage.authority.get().intermediate].compactMap(\.self)
            }
            #expect(try fields(shop)["C"] == "57P01")
            await stage.proxy.stop()
        }

        @Test func `cuts a live session when it is denied, and keeps the list that was right`() async throws {
            let stage = try stage()
            let shop = try session(stage, Stage.client.get())
            let intern = try session(stage, Stage.intern.get())
            let leaf = try Stage.intern.get().certificate()
            try deny("# stolen\nserial \(leaf.serial) \(leaf.issuer)\n")
            #expect(try fields(intern)["C"] == "57P01")
            let newcomer = try TestClient(stage.port, as: Stage.intern.get(), .sslRequest)
            try newcomer.send(startup())
            #expect(try fields(newcomer)["C"] == "28000")
            #expect(await eventually(within: 20) { stage.refused(.denied) == 1 })
            let refused = stage.events.named(.connectionRefused).first?.fields["detail"]
            #expect(refused == .string("deny list: serial \(leaf.serial) \(leaf.issuer)"))
            try deny("common-name shop\nnonsense\n")
            let isTold = await eventually(within: 20) {
                stage.health.snapshot.reasons.contains {
                    $0.code == "DENY_LIST_REFUSED" && $0.detail.contains("denied:2: ")
                }
            }
            #expect(isTold)
            #expect(try isAlive(shop))
            try deny("")
            #expect(await eventually(within: 20) { stage.health.snapshot.reasons.allSatisfy { $0.severity < .warn } })
            _ = try session(stage, Stage.intern.get())
            await stage.proxy.stop()
        }

        @Test func `judges who was verified before the news, and comes after them`() async throws {
            let stage = try stage()
            let client = try TestClient(stage.port, as: Stage.client.get(), .sslRequest)
            #expect(await eventually(within: 20) { stage.proxy.listeners[0].counters.handshakesFinished.value == 1 })
            let generation = stage.proxy.listeners[0].standing?.generation ?? 0
            try put("crl") {
                $0.number = 2
                $0.revoked = [try? Stage.client.get()].compactMap(\.self)
            }
            #expect(await eventually(within: 20) { stage.proxy.listeners[0].standing?.generation ?? 0 > generation })
            try client.send(startup())
            let isTold = await eventually(within: 20) {
                stage.events.named(.connectionClosed).first?.fields["reason"] == "revoked"
            }
            #expect(isTold)
            #expect(stage.open == 0)
            await stage.proxy.stop()
        }

        @Test func `ends every session with its list, if it is to be strict`() async throws {
            try put("crl") { $0.validity = -3600...10 }
            let stage = try stage()
            let shop = try session(stage, Stage.client.get())
            #expect(try fields(shop)["C"] == "57P01")
            #expect(throws: (any Error).self) { try session(stage, Stage.client.get()) }
            #expect(await eventually(within: 20) { stage.refused(.revocationUnknown) == 1 })
            #expect(stage.health.snapshot.reasons.contains { $0.code == "CRL_EXPIRED" && $0.severity == .error })
            try put("crl") { $0.number = 2 }
            let isBack = await eventually(within: 20) { (try? session(stage, Stage.client.get())) != nil }
            #expect(isBack)
            // The sessions come first, then the words.
            let isCleared = await eventually(within: 20) {
                !stage.health.snapshot.reasons.contains { $0.code == "CRL_EXPIRED" }
            }
            #expect(isCleared)
            await stage.proxy.stop()
        }

        @Test func `goes on with the last known list, if it is to, and says so`() async throws {
            try put("crl") { $0.validity = -3600...3 }
            let stage = try stage(RevocationRules(freshness: .lastKnown))
            let shop = try session(stage, Stage.client.get())
            let isTold = await eventually(within: 20) {
                stage.health.snapshot.reasons.contains { $0.code == "CRL_EXPIRED" && $0.severity == .warn }
            }
            #expect(isTold)
            #expect(try isAlive(shop))
            _ = try session(stage, Stage.client.get())
            #expect(stage.events.named(.revocationListAged).last?.fields["percent"] == 100)
            await stage.proxy.stop()
        }

        @Test func `does not open without its lists`() throws {
            try FileManager.default.removeItem(atPath: folder.file("crl"))
            #expect(throws: ProxyError.self) { try stage() }
            try folder.write("garbage", to: "crl")
            #expect(throws: ProxyError.self) { try stage() }
            try put("crl")
            try deny("garbage")
            let error = #expect(throws: ProxyError.self) { try stage() }
            #expect(error?.description.contains("denied:1: 'garbage' is no key") == true, "\(error?.description ?? "")")
        }

        @Test func `drops the CancelRequest of a denied certificate, though its name has a session`() async throws {
            let stage = try stage()
            let shop = try session(stage, Stage.client.get())
            #expect(await eventually(within: 20) { stage.proxy.house.cancels.count == 1 })
            let before = stage.proxy.listeners[0].standing?.generation ?? 0
            let hash = try Self.other.get().certificate().publicKeySHA256
            try deny("spki sha256:" + hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
            #expect(await eventually(within: 20) { stage.proxy.listeners[0].standing?.generation ?? 0 > before })
            let denied = try TestClient(stage.port, as: Self.other.get(), .sslRequest)
            try denied.send(Self.cancel)
            #expect((try? denied.receiveAll()) ?? [] == [])
            #expect(await eventually(within: 20) { stage.events.named(.cancelDropped).count == 1 })
            #expect(backend.noted.isEmpty)
            let own = try TestClient(stage.port, as: Stage.client.get(), .sslRequest)
            try own.send(Self.cancel)
            #expect((try? own.receiveAll()) ?? [] == [])
            #expect(await eventually(within: 20) { backend.noted == [Self.cancel] })
            #expect(try isAlive(shop))
            await stage.proxy.stop()
        }

        /// Here, where nothing else runs beside it: it measures memory. What it takes is the benchmark's to say; here
        /// it is only that a long list costs a look-up no more than a short one.
        @Test func `finds one of a hundred thousand as fast as one of one, in little memory`() throws {
            let authority = try Stage.authority.get()
            let victim = try Stage.client.get()
            let long = try authority.revocationList {
                $0.revoked = [victim]
                $0.serials = (0..<100_000).map { String(format: "%032X", ($0 + 1) &* 7919) }
            }
            let short = try authority.revocationList { $0.revoked = [victim] }
            let issuer = try authority.intermediate.certificate()
            ProcessMemory.forgetStartUp()
            let before = Self.residentBytes
            let list = try #require(try RevocationList.parse(long, issuers: [issuer]).first)
            ProcessMemory.forgetStartUp()
            let kept = Self.residentBytes - before
            #expect(list.count == 100_001)
            #expect(isSanitized || kept < 24 << 20)
            let chain = try Certificate.parsePEM(victim.chainPEM) + [authority.root.certificate()]
            let fastest = try [list, #require(try RevocationList.parse(short, issuers: [issuer]).first)].map { list in
                let revocation = Revocation([list], RevocationRules(depth: .leaf))
                let trust = try TrustAnchors([authority.root.certificate()], revocation: revocation)
                let now = Timestamp.now.seconds
                return (0..<1000).map { _ in
                    ContinuousClock().measure { #expect(trust.refusal(of: chain, at: now)?.kind == .revoked) }
                }.min() ?? .zero
            }
            #expect(fastest[0] < fastest[1] * 10)
        }

        private static var residentBytes: Int {
            let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
            return fields.flatMap { $0.count > 1 ? Int($0[1]) : nil }.map { $0 * 4096 } ?? 0
        }

        @Test func `lets each of a thousand idle sessions read 57P01, and leaves the others alone`() async throws {
            DescriptorLimit.raise()
            let stage = try stage()
            let others = try (0..<10).map { _ in try session(stage, Stage.intern.get()) }
            let clients = try (0..<1000).map { _ in try session(stage, Stage.client.get()) }
            #expect(await eventually(within: 20) { stage.open == 1010 })
            let clock = ContinuousClock()
            let began = clock.now
            try put("crl") {
                $0.number = 2
                $0.revoked = [try? Stage.client.get()].compactMap(\.self)
            }
            #expect(await eventually(within: 20) { stage.open == 10 })
            print("latency of 1000 cuts, the list's making included: \(clock.now - began)")
            var words: [String: Int] = [:]
            for client in clients {
                let heard = Result { try fields(client)["C"] ?? "no code" }
                words[(try? heard.get()) ?? "\(heard)", default: 0] += 1
            }
            #expect(words == ["57P01": 1000])
            for other in others { #expect(try isAlive(other)) }
            await stage.proxy.stop()
        }
    }
}
