import GRDB
import IO

/// Why the spool could not do what it was asked, and whether it can go on.
struct SpoolError: Error, Equatable, CustomStringConvertible {
    enum Kind: Equatable {
        /// What is stored cannot be trusted: it is put aside, and a new log begins.
        case damaged
        /// There is no room; nothing was changed.
        case full
        /// It may work again later: permissions, a disk that went away, another process.
        case unavailable
    }

    let kind: Kind
    let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ error: IOError) {
        self.init(.unavailable, error.description)
    }

    /// https://www.sqlite.org/rescode.html
    init(_ operation: String, _ error: DatabaseError) {
        let kind: Kind =
            switch error.extendedResultCode {
            // After a failed fsync the kernel forgets what was not written, and a second fsync succeeds
            // (Rebello et al., ATC '20): the file is never trusted again.
            case .SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC, .SQLITE_IOERR_SHORT_READ, .SQLITE_IOERR_READ: .damaged
            default:
                switch error.resultCode {
                case .SQLITE_FULL: .full
                case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_ERROR,
                    .SQLITE_FORMAT, .SQLITE_RANGE, .SQLITE_TOOBIG, .SQLITE_SCHEMA:
                    .damaged
                default: .unavailable
                }
            }
        self.init(kind, "\(operation): \(error.message ?? "SQLite error") (\(error.extendedResultCode.rawValue))")
    }
}

/// Runs what talks to SQLite and says in the spool's terms what went wrong.
func spoolOperation<Result>(_ operation: String, _ body: () throws -> Result) throws(SpoolError) -> Result {
    do {
        return try body()
    } catch let error as SpoolError {
        throw error
    } catch let error as DatabaseError {
        throw SpoolError(operation, error)
    } catch let error as RowDecodingError {
        throw SpoolError(.damaged, "\(operation): \(error)")
    } catch let error as IOError {
        throw SpoolError(error)
    } catch {
        throw SpoolError(.unavailable, "\(operation): \(error)")
    }
}
