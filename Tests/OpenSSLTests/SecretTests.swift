import Foundation
import OpenSSL
import TestSupport
import Testing

@Suite struct `A secret` {
    @Test func `is wiped when its owner ends`() {
        let mark = secureRandom(64)
        let address: UInt
        do {
            let secret = SecretBytes(copying: mark)
            let isOnSecureHeap = secret.isOnSecureHeap
            #expect(isOnSecureHeap)
            address = secret.withBytes { $0.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) } }
            #expect(memory(at: address) == mark)
        }
        // The secure heap stays mapped; another test may write there, but never this mark.
        let after = memory(at: address)
        for start in stride(from: 0, to: 64, by: 8) { #expect(after[start..<start + 8] != mark[start..<start + 8]) }
    }

    private func memory(at address: UInt) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: 64))
    }

    @Test func `leaves half of the secure heap to OpenSSL, and finds a place all the same`() throws {
        let large = SecretBytes(copying: [UInt8](repeating: 7, count: 1 << 20))
        let isOnSecureHeap = large.isOnSecureHeap
        #expect(!isOnSecureHeap)
        #expect(large.withBytes { $0.count } == 1 << 20)
        #expect(large.copy().allSatisfy { $0 == 7 })

        let many = (0..<300).map { _ in SecretReference(copying: [UInt8](repeating: 7, count: 4096)) }
        #expect(many.first?.withSecret { $0.isOnSecureHeap } == true)
        #expect(many.last?.withSecret { $0.isOnSecureHeap } == false)
        #expect(many.allSatisfy { $0.withBytes { $0[0] == 7 && $0[4095] == 7 } })
        // A new thread's generator, and a new key, have their place.
        let thread = Thread { _ = secureRandom(16) }
        thread.start()
        #expect(eventuallyBlocking(within: 20) { thread.isFinished })
        _ = try PrivateKey.generate(.ecP256)
    }

    @Test func `takes bytes and leaves none behind`() {
        var bytes: [UInt8] = [1, 2, 3]
        let secret = SecretReference(taking: &bytes)
        #expect(bytes.isEmpty)
        #expect(secret.withSecret { $0.copy() } == [1, 2, 3])
        #expect(secret.withBytes { $0[2] } == 3)
    }

    @Test func `prints nothing of itself`() {
        let secret = SecretReference(copying: Array("hunter2".utf8))
        var dumped = ""
        dump(secret, to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), String(describing: secret), dumped] {
            #expect(!text.contains("hunter2") && !text.contains("104"))
        }
        #expect("\(secret)" == "secret")
    }

    @Test func `is random when asked for, and empty is a secret too`() {
        #expect(SecretBytes(random: 32).copy() != SecretBytes(random: 32).copy())
        #expect(SecretBytes(count: 0).copy() == [])
        #expect(SecretBytes(count: 4).copy() == [0, 0, 0, 0])
        #expect(secureRandom(16) != secureRandom(16))
    }

    @Test func `is compared byte by byte`() {
        #expect(SecretReference(copying: [1, 2]) == SecretReference(copying: [1, 2]))
        #expect(SecretReference(copying: [1, 2]) != SecretReference(copying: [1, 3]))
        #expect(SecretReference(copying: [1, 2]) != SecretReference(copying: [1]))
        #expect(SecretReference(copying: []) == SecretReference(copying: []))
        #expect(MessageAuthentication.equal([1, 2, 3], [1, 2, 3]))
        #expect(!MessageAuthentication.equal([1, 2, 3], [1, 2, 4]))
        #expect(!MessageAuthentication.equal([1, 2, 3], [1, 2]))
        #expect(MessageAuthentication.equal([], []))
    }

    @Test func `is in no core dump of a hardened process`() {
        ProcessHardening.apply()
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        #expect(limit.rlim_cur == 0 && limit.rlim_max == 0)
    }
}
