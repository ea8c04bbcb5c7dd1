import Reports

/// The limits of now.
extension DatabaseProxy {
    /// Those that are configured, or less if the process may not have enough files open.
    var limits: ProxyLimits { house.admission.limits }

    /// Nobody who is there has to go; counts go on. `ofListeners`: by name.
    func take(_ configured: ProxyLimits, ofListeners: [String: ProxyLimits.PerListener]) {
        house.admission.change(descriptors.map(configured.fitting) ?? configured, ofListeners: ofListeners)
        reportScarcity(beside: configured)
        lookAtPressure()
    }

    func reportScarcity(beside configured: ProxyLimits) {
        let limits = self.limits
        if limits == configured { return health.clear("DESCRIPTORS_SCARCE") }
        health.raise(
            HealthReason(
                "DESCRIPTORS_SCARCE", limits.isScarce(beside: configured) ? .warn : .info,
                detail: "the limit of open files allows \(limits.connections) of \(configured.connections) "
                    + "connections and \(limits.unauthenticated) of \(configured.unauthenticated) strangers",
                action: "raise LimitNOFILE= in the unit (ulimit -n), or lower proxy: limits:"))
    }
}
