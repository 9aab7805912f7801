//go:build tools

// Headscale, pinned by go.mod; a module of its own because it needs another
// tailscale.com than the peers.
package headscale

import _ "github.com/juanfont/headscale/cmd/headscale"
