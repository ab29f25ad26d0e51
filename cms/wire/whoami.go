package wire

// WhoAmI is who asks, and what they may do.
type WhoAmI struct {
	Name   string `json:"name,omitempty" doc:"Of the token; absent where the server asks for none."`
	Role   string `json:"role" doc:"\"viewer\", \"client\" or \"operator\"; each may do everything that the one before it may. \"operator\" where the server asks for no token."`
	SignIn bool   `json:"sign_in" doc:"The server asks for a token."`
}
