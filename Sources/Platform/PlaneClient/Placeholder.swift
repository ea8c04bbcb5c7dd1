enum PlaceholderPlaneClient {}
