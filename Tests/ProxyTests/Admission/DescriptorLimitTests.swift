import Testing

@testable import Proxy

@Suite struct `The limit of descriptors` {
    @Test func `is read as the kernel writes it`() throws {
        let text = """
            Limit                     Soft Limit           Hard Limit           Units
            Max processes             63000                63000                processes
            Max open files            1024                 1048576              files

            """
        #expect(DescriptorLimit.softLimit(Array(text.utf8)) == 1024)
        #expect(DescriptorLimit.softLimit(Array("Max open files            unlimited            x".utf8)) == nil)
        #expect(DescriptorLimit.softLimit([]) == nil)
        #expect(try #require(DescriptorLimit.ofProcess) > 16)
    }

    @Test func `bounds the budgets, and leaves them alone where it is high enough`() {
        let configured = ProxyLimits()
        #expect(configured.fitting(descriptors: 65_536) == configured)
        for limit in [0, 64, 256, 257, 300, 512, 1024, 4096, 20_000, 21_279, 21_280] {
            let fitting = configured.fitting(descriptors: limit)
            #expect(fitting.connections >= 1 && fitting.unauthenticated >= 1)
            #expect(fitting.connections <= configured.connections)
            #expect(fitting.unauthenticated <= configured.unauthenticated)
            let needed = 2 * fitting.connections + 2 * fitting.unauthenticated
            #expect(needed <= max(8, limit - DescriptorLimit.reserve), "of \(limit)")
        }
    }
}
