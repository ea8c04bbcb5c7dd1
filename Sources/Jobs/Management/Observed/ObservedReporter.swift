import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

/// Tells the plane what this node really does: at the start, on each change, and with each question for its desired
/// state. What is told is put together when it is sent.
package actor ObservedReporter: QueueConfined {
    package nonisolated let queue = SerialQueue(label: "observed", isPatient: true)
    private let version: String
    private let boot: String
    /// 32 hex digits: a process that was copied with its machine has the same, one that was started anew has not.
    private let instance = Hexadecimal.text((0..<16).map { _ in UInt8.random(in: 0...255) })
    private let plane: PlaneClient
    private let node: ObservedNode
    private let listeners: @Sendable () -> [ObservedState.Listener]
    private let desired: @Sendable () async -> ObservedState.Desired?
    private let reports: ObservedReports
    private let alarm: Alarm

    private var machine = ObservationStateMachine()
    private var count: GenerationCount
    private var clockOffset: Int64?
    /// The serial number of the node identity under which the last report was sent.
    private var identity: String?
    private let began = ContinuousClock.now

    /// `boot`: the kernel's name for this start of the machine. `alarm`: rung when something may be another way than it
    /// was reported, or the plane was asked something. `desired`: what is applied of the desired state.
    package init(
        version: String, boot: String, stateDirectory: String, alarm: Alarm, plane: PlaneClient, node: ObservedNode,
        listeners: @escaping @Sendable () -> [ObservedState.Listener],
        desired: @escaping @Sendable () async -> ObservedState.Desired?, health: HealthBoard, metrics: Metrics
    ) {
        self.version = version
        self.boot = boot
        self.alarm = alarm
        self.plane = plane
        self.node = node
        self.listeners = listeners
        self.desired = desired
        count = GenerationCount(stateDirectory: stateDirectory)
        reports = ObservedReports(health, metrics)
    }

    /// Reports until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            // Before it has joined, a node would only be refused.
            let pause = node.identitySerial == nil ? ObservationStateMachine.interval : machine.pause(at: now)
            if pause > 0 {
                switch await alarm.wait(for: .seconds(pause)) {
                case .cancelled: return
                case .rung: rung()
                case .elapsed: break
                }
            } else {
                await send()
            }
        }
    }

    private func rung() {
        if node.identitySerial == identity { machine.changed(at: now) } else { machine.credentialsChanged(at: now) }
    }

    private func send() async {
        machine.began(at: now)
        identity = node.identitySerial
        let (generation, flaw) = count.next()
        reports.counted(flaw: flaw)
        let state = ObservedState(
            version: version, instance: instance, boot: boot, generation: generation, time: Timestamp.now.seconds,
            clockOffset: clockOffset, planeTrust: node.planeTrust, certificates: node.certificates,
            listeners: listeners(), desired: await desired())
        let random = Double.random(in: 0..<1)
        do throws(PlaneError) {
            if let time = try await plane.report(state) { clockOffset = Timestamp.now.seconds - time }
            machine.taken(at: now, random: random)
            reports.taken(generation: generation, instance: instance)
        } catch {
            if Task.isCancelled { return }
            machine.failed(
                at: now, retryAfter: error.retryAfter.map { Double($0.components.seconds) }, random: random)
            reports.failed(error.detail, times: machine.failures)
        }
    }

    private var now: Double { (ContinuousClock.now - began) / .seconds(1) }
}
