/// What a plane that was away for a while saw of its fleet.
package struct FleetOutage: Sendable {
    /// Peaks are those of any five minutes.
    package static let window = 300.0

    /// In seconds.
    package let length: Double
    /// When each request was sent, in seconds since the end of the outage, in order.
    package let requests: [Double]

    /// Requests in five minutes, on the average of two days before.
    package var steady: Double {
        let before = -length - 2 * 86_400 ..< -length
        return Double(requests.count(where: before.contains)) / (before.upperBound - before.lowerBound) * Self.window
    }

    /// The most requests in any five minutes from the end of the outage on, as a multiple of the usual.
    package var peakAfterwards: Double { Double(most { $0 >= 0 }) / steady }

    /// While the plane was away: nobody answered these.
    package var peakMeanwhile: Double { Double(most { (-length..<0).contains($0) }) / steady }

    private func most(_ isCounted: (Double) -> Bool) -> Int {
        let times = requests.filter(isCounted)
        var (most, first) = (0, 0)
        for (last, time) in times.enumerated() {
            while times[first] <= time - Self.window { first += 1 }
            most = max(most, last - first + 1)
        }
        return most
    }
}
