import Testing

@testable import Proxy

@Suite struct `The limits of the proxy` {
    @Test func `fit into the descriptors of the process, and are left alone where those suffice`() {
        let configured = ProxyLimits()
        #expect(configured.fitting(descriptors: 65_536) == configured)
        for limit in [0, 64, 256, 257, 300, 512, 1024, 4096, 20_000, 21_279, 21_280] {
            let fitting = configured.fitting(descriptors: limit)
            #expect(fitting.connections >= 1 && fitting.unauthenticated >= 1)
            #expect(fitting.connections <= configured.connections)
            #expect(fitting.unauthenticated <= configured.unauthenticated)
            let needed = 2 * fitting.connections + 2 * fitting.unauthenticated
            #expect(needed <= max(8, limit - ProxyLimits.reservedDescriptors), "of \(limit)")
        }
    }

    @Test func `leave half of the descriptors to others than administrators`() {
        var configured = ProxyLimits()
        configured.reserved.connections = 10_000
        configured.reserved.unauthenticated = 100
        for limit in [0, 64, 300, 1024, 4096, 21_280, 30_000, 65_536] {
            let fitting = configured.fitting(descriptors: limit)
            let available = max(8, limit - ProxyLimits.reservedDescriptors)
            let reserved = 2 * fitting.reserved.connections + 2 * fitting.reserved.unauthenticated
            #expect(reserved <= available / 2)
            #expect(reserved + 2 * fitting.connections + 2 * fitting.unauthenticated <= available, "of \(limit)")
        }
        #expect(configured.fitting(descriptors: 200_000) == configured)
    }

    @Test func `are scarce when a quarter of what was configured is missing`() {
        let configured = ProxyLimits()
        #expect(!configured.isScarce(beside: configured))
        #expect(!configured.fitting(descriptors: 20_000).isScarce(beside: configured))
        #expect(configured.fitting(descriptors: 4096).isScarce(beside: configured))
        #expect(configured.fitting(descriptors: 400).isScarce(beside: configured))
    }
}
