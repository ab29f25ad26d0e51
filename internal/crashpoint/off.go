//go:build !crashpoint

package crashpoint

// Here is one of [Points]. Without the tag crashpoint it does nothing.
func Here(string) {}

// Without says whether one of [CleanUps] is left out. Without the tag crashpoint
// none ever is.
func Without(string) bool { return false }
