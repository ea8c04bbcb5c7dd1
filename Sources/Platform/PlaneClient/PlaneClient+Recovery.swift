import FoundationEssentials
import HTTP
import PlaneAPI

extension PlaneClient {
    /// `publicKey`: SubjectPublicKeyInfo in DER. Idempotent.
    package func registerRecoveryKey(_ publicKey: [UInt8]) async throws(PlaneError) {
        let what = "register the recovery key"
        let key = RecoveryKey(publicKey: Data(publicKey))
        let request = try Self.request("PUT", url + Recovery.path, key, doing: what)
        _ = try Answer.body(of: try await sendRequest(request, try joined()), doing: what)
    }

    /// Without an identity: the one that was is not good any more.
    package func recoveryChallenge(_ question: RecoveryQuestion) async throws(PlaneError) -> String {
        let what = "ask for a challenge"
        let request = try Self.request("POST", url + Recovery.challengePath, question, doing: what)
        let body = try Answer.body(of: try await sendRequest(request, try current()), doing: what)
        guard body.count < 1000, let answer = try? JSONDecoder().decode(RecoveryChallenge.self, from: Data(body)),
            answer.challenge.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw PlaneError(.protocolError, "\(what): the plane's answer is not the JSON that was expected") }
        return answer.challenge
    }
}
