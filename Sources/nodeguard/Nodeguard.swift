@main struct Nodeguard { static func main() {} }
