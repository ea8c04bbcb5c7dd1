import IO
import Reports

/// What is done when something runs out: newcomers are turned away before anything fails, sessions stay.
extension DatabaseProxy {
    /// Files of the kernel's, in which no disk is waited for.
    func lookAtPressure() {
        var readings: [MemoryReading] = []
        if let limit = limits.memory, let used = ProcessMemory.resident {
            readings.append(MemoryReading(whose: .process, used: used, limit: limit))
        }
        if let (used, limit) = controlGroup?.memory {
            readings.append(MemoryReading(whose: .controlGroup, used: used, limit: limit))
        }
        house.admission.memoryObserved(readings)
        guard let pressure = house.admission.pressure else { return health.clear("CONNECTIONS_SHED") }
        let remedy =
            switch pressure {
            case .descriptors: "raise LimitNOFILE= in the unit (ulimit -n), or lower proxy: limits:"
            case .memory(let reading) where reading.whose == .process:
                "find what needs it, or raise proxy: limits: memory:"
            case .memory: "find what needs it, or raise MemoryMax= in the unit"
            }
        health.raise(
            HealthReason(
                "CONNECTIONS_SHED", .error, detail: "new connections are refused, live ones stay: \(pressure)",
                action: remedy))
    }
}
