import FoundationEssentials
import HTTPTypes
import Hummingbird
import PlaneAPI

/// What the plane answers instead of doing it: a status, a stable reason, and one line for people.
struct Refusal: Error, Sendable, Equatable {
    let status: HTTPResponse.Status
    let reason: String
    let detail: String
    var retryAfter: Int?

    static func denied(_ reason: String, _ detail: String) -> Refusal {
        Refusal(status: .forbidden, reason: reason, detail: detail)
    }

    static func unauthorized(_ reason: String, _ detail: String) -> Refusal {
        Refusal(status: .unauthorized, reason: reason, detail: detail)
    }

    static func malformedRequest(_ detail: String) -> Refusal {
        Refusal(status: .badRequest, reason: "malformed-request", detail: detail)
    }

    static func weakKey(_ detail: String) -> Refusal {
        Refusal(status: .badRequest, reason: "key-not-allowed", detail: detail)
    }

    static func unknownLabel(_ label: String) -> Refusal {
        Refusal(status: .notFound, reason: "label-unknown", detail: "there is no label \(label.prefix(128)) here")
    }

    static func unprocessable(_ reason: String, _ detail: String) -> Refusal {
        Refusal(status: .unprocessableContent, reason: reason, detail: detail)
    }

    static func tooLarge(_ limit: Int) -> Refusal {
        Refusal(status: .contentTooLarge, reason: "too-large", detail: "the body is longer than \(limit) bytes")
    }

    /// 423 (RFC 4918 §11.3): libest's servers say it too.
    static func locked(_ detail: String) -> Refusal {
        Refusal(status: .init(code: 423, reasonPhrase: "Locked"), reason: Recovery.locked, detail: detail)
    }

    static func tooMany(_ detail: String, after seconds: Int) -> Refusal {
        Refusal(status: .tooManyRequests, reason: "too-many-requests", detail: detail, retryAfter: seconds)
    }

    static let unavailable = Refusal(
        status: .serviceUnavailable, reason: "unavailable", detail: "the plane cannot reach its store; try again",
        retryAfter: 5)

    var response: Response {
        get throws {
            let body = try JSONEncoder.plane.encode(PlaneRefusal(reason: reason, detail: detail))
            var headers: HTTPFields = [.contentType: "application/json"]
            if status == .unauthorized { headers[.wwwAuthenticate] = "Basic realm=\"nodeguard\"" }
            if let retryAfter { headers[.retryAfter] = String(retryAfter) }
            return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: body)))
        }
    }
}
