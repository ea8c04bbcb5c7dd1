@main struct NodeguardPlane { static func main() {} }
