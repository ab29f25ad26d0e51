package haproxy

func helperManager(dir string) {}
