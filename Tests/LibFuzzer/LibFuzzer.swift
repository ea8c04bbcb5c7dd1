import Foundation
import Fuzzers

/// What libFuzzer calls. `NODEGUARD_FUZZ_TARGET` says which reader is meant, `NODEGUARD_FUZZ_SEEDS` the folder that its
/// well-formed inputs are written to. Built by `packaging/fuzz` alone.
enum LibFuzzer {
    static let target = FuzzTarget.all.first { $0.name == ProcessInfo.processInfo.environment["NODEGUARD_FUZZ_TARGET"] }

    static func end(_ text: String) -> Never {
        FileHandle.standardError.write(Data("\(text)\n".utf8))
        abort()
    }

    static func writeSeeds(to folder: String) {
        do {
            for (number, seed) in ((try target?.seeds()) ?? []).enumerated() {
                try Data(seed).write(to: URL(fileURLWithPath: "\(folder)/seed-\(number)"))
            }
        } catch { end("no seeds: \(error)") }
    }
}

@_cdecl("LLVMFuzzerInitialize")
func fuzzerInitialize(_ count: UnsafeMutableRawPointer?, _ arguments: UnsafeMutableRawPointer?) -> CInt {
    guard LibFuzzer.target != nil else {
        LibFuzzer.end("NODEGUARD_FUZZ_TARGET must be one of: \(FuzzTarget.all.map(\.name).joined(separator: " "))")
    }
    if let folder = ProcessInfo.processInfo.environment["NODEGUARD_FUZZ_SEEDS"] { LibFuzzer.writeSeeds(to: folder) }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
func fuzzerTestOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let target = LibFuzzer.target, count <= target.longest else { return -1 }
    do {
        try target.check(Array(UnsafeBufferPointer(start: bytes, count: count)))
    } catch { LibFuzzer.end("\(target): \(error)") }
    return 0
}
