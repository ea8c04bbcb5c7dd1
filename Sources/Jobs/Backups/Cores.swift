import FoundationEssentials

/// The processor as frames are spread over it.
enum Cores {
    static let count = max(1, ProcessInfo.processInfo.activeProcessorCount)
}
