import OpenSSL
import TestSupport
import Testing

@testable import PlaneClient

@Suite struct `An answer with a key` {
    private static let key = Array("0123456789abcdef0123456789abcdef".utf8)
    private static let base64 = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

    private func unwrapped(_ text: String) throws -> [UInt8] {
        try KeyAnswer.unwrapped(SecretReference(copying: Array(text.utf8)), doing: "ask").withSecret { $0.copy() }
    }

    @Test func `gives the key, and what else it says`() throws {
        #expect(try unwrapped(#"{"key":"\#(Self.base64)"}"#) == Self.key)
        let text =
            #" {"id":"bk-1", "n":[1,-2.5e+3,{"a":"}\"]"},[]],"wrapped":"AQI=","ok":true,"kek":"k","#
            + #""key":"\#(Self.base64)"} "#
        let created = try KeyAnswer.created(SecretReference(copying: Array(text.utf8)), doing: "ask")
        #expect(created.id == "bk-1" && created.kek == "k" && created.wrapped == [1, 2])
        #expect(created.secret.withSecret { $0.copy() } == Self.key)
    }

    @Test func `may write a slash in JSON's other way`() throws {
        let bytes = [UInt8](repeating: 0xFF, count: 32)
        let base64 = String(repeating: "\\/", count: 42) + "8="
        #expect(try unwrapped(#"{"key":"\#(base64)"}"#) == bytes)
    }

    @Test(arguments: [
        "", "{", "{}", "[]", "null", #"{"key":1}"#, #"{"key":null}"#, #"{"key":""}"#, #"{"key":"MDEy"}"#,
        #"{"key":"\#(base64)"} x"#, #"{"key":"\#(base64)","key":"\#(base64)"}"#, #"{"key":"\#(base64)""#,
        #"{"key":"\#(base64)",}"#, #"{"key" "\#(base64)"}"#, #"{"key":"\#(base64.dropLast())"}"#,
        #"{"key":"\#(base64)="}"#, #"{"key":"\#(base64.dropLast(2))Z="}"#, #"{"key":"\#(base64.dropLast(2))*="}"#,
        #"{"key":"\u004dDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}"#, #"{"key":"\#(base64) "}"#,
        #"{"other":{"key":"\#(base64)"}}"#, #"{"a":[[[[[[[[[[1]]]]]]]]]],"key":"\#(base64)"}"#, #"{"key":"\"#,
        #"{"a":"\#n","key":"\#(base64)"}"#, "{\"\u{0}\":1}",
    ])
    func `that is not exact is refused`(text: String) {
        let error = #expect(throws: PlaneError.self) { try unwrapped(text) }
        #expect(error?.kind == .protocolError)
        #expect(error?.description.contains("MDEy") == false)
    }

    @Test func `is refused at every cut`() {
        let text = #"{"id":"a","kek":"k","key":"\#(Self.base64)","wrapped":"AQI="}"#
        for count in 0..<text.utf8.count {
            #expect(throws: PlaneError.self) { try unwrapped(String(text.prefix(count))) }
        }
    }
}

@Suite struct `The plane's witness key` {
    @Test func `is one line of text and nothing else, whatever the plane answers`() async throws {
        let plane = try await PlaneDouble()
        let good = "plane+0a1b2c3d+BAAA"
        for text in [good, good + "\n"] {
            try plane.answer(Array(text.utf8))
            #expect(try await plane.client.auditWitness() == good)
        }
        let hostile: [([UInt8], Int, PlaneError.Kind)] = [
            ([], 200, .protocolError), (Array("\n".utf8), 200, .protocolError),
            (Array("\(good)\nmore".utf8), 200, .protocolError), (Array("\(good)\n\n".utf8), 200, .protocolError),
            ([0x61, 0xFF, 0x0A], 200, .protocolError), ([UInt8](repeating: 0x61, count: 1025), 200, .protocolError),
            ([UInt8](repeating: 0x61, count: 5 << 20), 200, .protocolError),
            (Array(good.utf8), 202, .pending), (Array(good.utf8), 302, .redirect),
            (Array(good.utf8), 403, .denied), (Array(good.utf8), 503, .throttled),
        ]
        for (body, status, kind) in hostile {
            try plane.answer(body, status: status)
            let error = await #expect(throws: PlaneError.self) { try await plane.client.auditWitness() }
            #expect(error?.kind == kind, "\(status) \(body.count)")
        }
        await plane.client.close()
    }
}
