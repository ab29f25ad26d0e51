// Command program passes two points four times, and then says what is left out.
package main

import (
	"fmt"

	"github.com/elastipod/elastipod/internal/crashpoint"
)

func main() {
	for i := range 4 {
		crashpoint.Here("store/begun")
		crashpoint.Here("store/written")
		fmt.Print(i)
	}
	for _, c := range crashpoint.CleanUps() {
		if crashpoint.Without(c) {
			fmt.Print(" ", c)
		}
	}
}
