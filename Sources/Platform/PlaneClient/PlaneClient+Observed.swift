import HTTP
import PlaneAPI

extension PlaneClient {
    /// What time it is for the plane, in seconds since 1970, as it says with its answer: a hint, never believed.
    package func report(_ observed: ObservedState) async throws(PlaneError) -> Int64? {
        let what = "report what is applied"
        let request = try Self.request("PUT", url + ObservedState.path, observed, doing: what)
        let response = try await sendRequest(request, try joined())
        _ = try Answer.body(of: response, doing: what)
        return response.header("date").flatMap(HTTPDate.parse)
    }
}
