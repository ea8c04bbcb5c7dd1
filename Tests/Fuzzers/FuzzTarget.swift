/// One reader of bytes that somebody else made: what it is usually given, and what must hold whatever it is given.
package struct FuzzTarget: Sendable, CustomStringConvertible {
    package let name: String
    /// Longer inputs show nothing new.
    package let longest: Int
    /// Well-formed inputs, made at run time, from which mutation starts.
    package let seeds: @Sendable () throws -> [[UInt8]]
    /// Throws `BrokenPromise`. A crash, and memory without bound, are caught by whoever calls.
    package let check: @Sendable ([UInt8]) throws -> Void

    package var description: String { name }

    package init(
        _ name: String, longest: Int = 4096, seeds: @escaping @Sendable () throws -> [[UInt8]],
        check: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.longest = longest
        self.seeds = seeds
        self.check = check
    }

    package static let all: [FuzzTarget] = [
        .postgresClear, .postgresInsideTLS, .postgresDirectTLS, .postgresServer, .refusedRequest, .messageHeader,
        .sealedStream, .manifest, .streamRequest, .certificateBag, .requestWishes, .redirect, .certificate,
        .joinBundle, .planeAnswer, .keyAnswer,
        .signedNote, .configuration, .databaseUserMap, .uriPattern, .accessRule, .revocationList, .denyList,
        .proxyHeader, .desiredEnvelope, .desiredState, .storeAnswer,
    ]
}

/// What a reader did that it must never do.
package struct BrokenPromise: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

func promise(_ holds: Bool, _ text: @autoclosure () -> String) throws(BrokenPromise) {
    if !holds { throw BrokenPromise(description: text()) }
}

/// Ways to cut `input`: not at all, at each of its first bytes, and between any two.
func cuts(of input: [UInt8]) -> [[ArraySlice<UInt8>]] {
    let places = input.isEmpty ? [] : Array(1..<min(input.count, 48))
    let twoPieces = places.map { [input[..<$0], input[$0...]] }
    let single = input.count <= 512 ? [input.indices.map { input[$0...$0] }] : []
    return [[input[...]]] + twoPieces + single
}
