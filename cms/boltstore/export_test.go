package boltstore

// Seal returns a value as the store keeps it.
func Seal(key, value string) []byte { return seal([]byte(key), []byte(value)) }
