import Dispatch

/// Asks `condition` every few milliseconds until it holds; false when `seconds` have passed first.
package func eventually(
    within seconds: Double, isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
        if try await condition() { return true }
        if ContinuousClock.now >= deadline { return false }
        await shortPause()
    }
}

/// For code that has no `async`: blocks the thread between two questions.
package func eventuallyBlocking(within seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    let never = DispatchSemaphore(value: 0)
    while true {
        if try condition() { return true }
        if ContinuousClock.now >= deadline { return false }
        _ = never.wait(timeout: .now() + .milliseconds(5))
    }
}

private func shortPause() async {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(5)) { continuation.resume() }
    }
}
