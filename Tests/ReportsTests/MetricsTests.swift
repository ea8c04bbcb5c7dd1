import Reports
import Testing

@Suite struct `The metrics` {
    @Test func `are OpenMetrics text, by name, with an end`() {
        let metrics = Metrics()
        metrics.counter("nodeguard_b", "Second.").add(3)
        metrics.gauge("nodeguard_a", "First.") { [([("role", "a\"b\\c\nd")], 1.5)] }
        #expect(
            metrics.openMetricsText == """
                # TYPE nodeguard_a gauge
                # HELP nodeguard_a First.
                nodeguard_a{role="a\\"b\\\\c\\nd"} 1.5
                # TYPE nodeguard_b counter
                # HELP nodeguard_b Second.
                nodeguard_b_total 3
                # EOF

                """)
    }

    @Test func `give the same counter for the same labels`() {
        let metrics = Metrics()
        metrics.counter("c", "C.", labels: [("class", "x")]).add()
        metrics.counter("c", "C.", labels: [("class", "x")]).add()
        metrics.counter("c", "C.", labels: [("class", "y")]).add()
        #expect(metrics.openMetricsText.contains("c_total{class=\"x\"} 2\nc_total{class=\"y\"} 1\n"))
    }

    @Test func `count a histogram up to its bounds, cumulatively`() {
        let metrics = Metrics()
        let histogram = metrics.histogram("h_seconds", "H.")
        for seconds in [0.0005, 0.0006, 3, 100] { histogram.observe(seconds) }
        let (cumulative, sum) = histogram.values
        #expect(cumulative.count == Histogram.latencyBounds.count + 1)
        #expect(cumulative.first == 1 && cumulative[1] == 2 && cumulative.last == 4)
        #expect(abs(sum - 103.0011) < 1e-9)
        let text = metrics.openMetricsText
        #expect(text.contains("h_seconds_bucket{le=\"0.0005\"} 1\n"))
        #expect(text.contains("h_seconds_bucket{le=\"+Inf\"} 4\n"))
        #expect(text.contains("h_seconds_count 4\n"))
    }

    @Test func `lose no count of many threads`() async {
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.add() } } }
        }
        #expect(counter.value == 80_000)
    }
}
