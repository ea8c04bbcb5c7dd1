enum PlaceholderBackups {}
