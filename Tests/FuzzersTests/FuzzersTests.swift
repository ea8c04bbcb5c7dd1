import Foundation
import Fuzzers
import Testing

/// Without coverage's guidance, but in each run of the tests: `packaging/fuzz` looks deeper.
@Suite struct `Whatever bytes come` {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seconds = environment["NODEGUARD_FUZZ_SECONDS"].flatMap(Double.init) ?? 0.5
    private static let seed = environment["NODEGUARD_FUZZ_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)

    @Test(arguments: FuzzTarget.all) func `a reader keeps its promises`(_ target: FuzzTarget) throws {
        let seeds = try target.seeds()
        #expect(!seeds.isEmpty)
        for input in seeds + (try Self.corpus(of: target)) { try Self.check(input, target) }
        // Should it crash, this is how to see it again.
        print("\(target): NODEGUARD_FUZZ_SEED=\(Self.seed)")
        var mutator = Mutator(seed: Self.seed)
        let deadline = ContinuousClock.now + .seconds(Self.seconds)
        repeat {
            try Self.check(mutator.mutant(of: seeds, longest: target.longest), target)
        } while ContinuousClock.now < deadline
    }

    @Test func `a broken promise is found`() throws {
        let broken = FuzzTarget("broken", seeds: { [Array("length 1".utf8)] }) { input in
            if input.contains(0xFF) { throw BrokenPromise(description: "it fell over 0xFF") }
        }
        var mutator = Mutator(seed: 1)
        let seeds = try broken.seeds()
        #expect(throws: BrokenPromise.self) {
            for _ in 0..<10_000 { try broken.check(mutator.mutant(of: seeds, longest: 64)) }
        }
    }

    @Test func `the same seed makes the same inputs`() {
        var one = Mutator(seed: 7)
        var other = Mutator(seed: 7)
        let pool: [[UInt8]] = [[1, 2, 3], [4, 5]]
        for _ in 0..<100 { #expect(one.mutant(of: pool, longest: 64) == other.mutant(of: pool, longest: 64)) }
    }

    /// Inputs that were mistreated once: Tests/Fuzzers/Corpus/TARGET.
    private static func corpus(of target: FuzzTarget) throws -> [[UInt8]] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let folder = tests.appendingPathComponent("Fuzzers/Corpus/\(target.name)")
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).map {
            Array(try Data(contentsOf: $0))
        }
    }

    private static func check(_ input: [UInt8], _ target: FuzzTarget) throws {
        do {
            try target.check(input)
        } catch {
            Issue.record("\(target), \(Data(input).base64EncodedString()): \(error)")
            throw error
        }
    }
}
