//go:build tools

// The stock programs of the tests, pinned by go.mod.
package peers

import (
	_ "tailscale.com/cmd/derper"
	_ "tailscale.com/cmd/tailscale"
	_ "tailscale.com/cmd/tailscaled"
)
