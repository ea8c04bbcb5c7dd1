import Reports
import Status

/// What the verbs ask of the running daemon, over its local sockets.
struct LocalQuestions {
    let configuration: StatusSection

    func status() async throws(VerbFailure) -> (body: String, document: JSONValue) {
        try await document("/v1/status", at: configuration.socket)
    }

    func document(_ path: String, at socket: String) async throws(VerbFailure) -> (body: String, document: JSONValue) {
        let answer = try await ask("GET", path, at: socket)
        guard let document = ReadJSON.parse(answer.body) else {
            throw VerbFailure(.unreachable, "what answers on \(socket) is not nodeguard")
        }
        return (answer.text, document)
    }

    /// An answer that is no success becomes the failure that it names. `refusal`: what it means that the daemon could
    /// do it and did not (409).
    func ask(
        _ method: String, _ path: String, at socket: String, refusal: VerbStatus = .failed
    ) async throws(VerbFailure) -> LocalResponse {
        let answer: LocalResponse
        do throws(LocalClientError) {
            answer = try await LocalClient.send(method, path, to: socket, timeoutSeconds: Self.timeoutSeconds)
        } catch {
            switch error {
            case .notAllowed: throw VerbFailure(.notAllowed, error.description)
            case .unreachable, .malformed: throw VerbFailure(.unreachable, error.description)
            }
        }
        if (200..<300).contains(answer.status) { return answer }
        let lines = ReadJSON.parse(answer.body)?["error"]?.string?.split(separator: "\n").map { String($0).printable }
        let detail = lines?.joined(separator: "\n") ?? "the daemon answered with status \(answer.status)"
        throw VerbFailure([403: .notAllowed, 409: refusal][answer.status] ?? .failed, detail)
    }

    /// A renewal may wait for the plane.
    private static let timeoutSeconds: Int64 = 60
}
