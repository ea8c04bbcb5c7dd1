import Reports

/// A token's numbers. Its label is its URI without module and PIN, of which a node has few.
struct TokenFigures: Sendable {
    let refused: Counter
    let failed: Counter
    private let done: Counter
    private let seconds: Histogram
    private let metrics: Metrics

    init(_ store: KeyStore, _ metrics: Metrics) {
        func counter(_ result: String) -> Counter {
            metrics.counter(
                "nodeguard_key_operations", "Signatures asked of tokens",
                labels: [("store", store.description), ("result", result)])
        }
        (done, failed, refused) = (counter("done"), counter("failed"), counter("refused"))
        seconds = metrics.histogram(
            "nodeguard_key_operation_seconds", "Time that a token took to sign", labels: [("store", store.description)])
        self.metrics = metrics
    }

    func signed(in time: Double) {
        done.add()
        seconds.observe(time)
    }

    func watch(_ token: Token) {
        metrics.gauge("nodeguard_key_token_up", "Whether a token can be used") { [weak token] in
            token.map { [([("store", $0.store.description)], $0.isAvailable ? 1 : 0)] } ?? []
        }
    }
}
