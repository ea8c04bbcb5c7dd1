import CSystemd
import Glibc

/// Where log lines go: journald in its native protocol, or standard error.
package enum LogDestination: Sendable {
    case journal
    case standardError

    /// The journal if standard error is connected to it (`JOURNAL_STREAM`, systemd.exec(5)), else standard error: so a
    /// daemon run by hand talks to its terminal.
    package static var automatic: LogDestination {
        guard let stream = getenv("JOURNAL_STREAM").map({ String(cString: $0) }) else { return .standardError }
        var status = stat()
        guard fstat(STDERR_FILENO, &status) == 0 else { return .standardError }
        return stream == "\(status.st_dev):\(status.st_ino)" ? .journal : .standardError
    }

    func write(_ record: LogRecord) {
        switch self {
        case .journal: Self.send(record.journalFields)
        case .standardError: Self.print(record.line)
        }
    }

    /// `sd_journal_sendv` and not the printf forms: a value may hold any byte, `%` and line breaks included.
    private static func send(_ fields: [String]) {
        var bytes: [UInt8] = []
        var ends: [Int] = []
        for field in fields {
            bytes.append(contentsOf: field.utf8)
            ends.append(bytes.count)
        }
        bytes.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            var vectors: [iovec] = []
            var start = 0
            for end in ends {
                vectors.append(iovec(iov_base: base + start, iov_len: end - start))
                start = end
            }
            _ = sd_journal_sendv(vectors, Int32(vectors.count))
        }
    }

    private static func print(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count > 0 {
                written += count
            } else if errno != EINTR {
                return
            }
        }
    }
}
