import Simulations
import Testing

@testable import Certificates

@Suite struct `The renewals of a fleet` {
    @Test func `are spread over the whole tenth, the same after each restart`() {
        let shares = FleetSimulation().firstRenewals()
        #expect(shares.count == 5000 && shares.allSatisfy { (0...1).contains($0) })
        #expect(shares[4750] - shares[250] >= 0.8)
        #expect(RenewalJitter.fraction(node: "a", serial: "01") == RenewalJitter.fraction(node: "a", serial: "01"))
        #expect(RenewalJitter.fraction(node: "a", serial: "01") != RenewalJitter.fraction(node: "a", serial: "02"))
    }

    @Test(arguments: [12.0, 24], [1, 2] as [UInt64])
    func `come back from an hour's outage at no more than three times the usual rate`(hours: Double, seed: UInt64) {
        let outage = FleetSimulation(life: hours * 3600, seed: seed).outage(of: 3600)
        // Two certificates of 5000 nodes, each renewed after two thirds of its life less half of the jitter.
        let expected = 10_000 / (hours * 3600 * (2.0 / 3 - 0.05)) * FleetOutage.window
        #expect((0.9...1.1).contains(outage.steady / expected), "\(outage.steady)")
        #expect(outage.peakAfterwards <= 3, "\(outage.peakAfterwards)")
        let late = Double(outage.requests.count { (0..<10_800).contains($0) })
        #expect(late > outage.steady * 42, "the usual of three hours, and most of what fell due meanwhile")
    }
}
