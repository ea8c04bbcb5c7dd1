/// From when until when a certificate counts, in seconds since 1970.
package struct Validity: Sendable, Equatable {
    package let notBefore: Double
    package let notAfter: Double

    package init(notBefore: Double, notAfter: Double) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    package var life: Double { notAfter - notBefore }

    /// `jitter`: in [0, 1), drawn once for each certificate. Drawn anew at each look, the earliest draw would win and
    /// all nodes would renew together (spiffe/spire, pkg/common/rotationutil).
    package func renewalTime(jitter: Double) -> Double { notBefore + life * 2 / 3 - jitter * life / 10 }

    /// How much may be left before somebody is told: a sixth of the life, thirty days at most.
    package var warningTime: Double { notAfter - min(30 * 86_400, life / 6) }
}
